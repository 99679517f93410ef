//! A long reader on the replica, which nothing may cancel.

use std::time::{Duration, Instant};

use crate::doctor::{Finding, Verdict};
use crate::drill::fault::{Fault, Healed};
use crate::drill::faults::months;
use crate::drill::scene::Scene;
use crate::error::Error;
use crate::role::Role;
use crate::server::text;

/// How long the reader reads.
const READS: Duration = Duration::from_secs(60);

/// In that time a batch of statuses changes every 3 seconds, and the view is refreshed as often.
const REFRESHES: i64 = 18;

const RUNS: &str = "SELECT runs FROM public.operations_jobs() WHERE job_name = 'change_status' LIMIT 1";

const READ: &str = "SELECT count(*), sum(amount), sum(status) FROM public.operations";

/// A reader that sees one snapshot for a minute, while the view is refreshed and a month is attached.
#[derive(Default)]
pub struct LongReader {
    wrong: Vec<String>,
}

impl LongReader {
    /// The fault.
    pub fn fault() -> Box<dyn Fault> {
        Box::new(Self::default())
    }
}

impl Fault for LongReader {
    fn cause(&mut self, _scene: &Scene) -> Result<String, Error> {
        Ok("a reader on the replica kept one snapshot for 60 s, while a month was attached and the view refreshed"
            .to_owned())
    }

    fn heal(&mut self, scene: &Scene, _seen: &Finding) -> Result<Healed, Error> {
        let begun = Instant::now();
        let runs = |scene: &Scene| scene.ask(Role::Primary, RUNS).map(|runs| runs.parse::<i64>().unwrap_or_default());
        let before = runs(scene)?;
        let mut reader = scene.session(Role::Replica)?;
        text(&mut reader, "BEGIN ISOLATION LEVEL REPEATABLE READ")?;
        let first = text(&mut reader, READ)?;
        // A month more than there are, as when a new month begins; no other is dropped afterwards.
        let more = format!("CALL public.operations_maintain_partitions({})", months::ahead(scene)? + 1);
        scene.run_and_undo(Role::Primary, &[&more], &[&months::drop_empty(&months::names(scene)?)])?;
        while begun.elapsed() < READS {
            scene.go_on()?;
            let again = text(&mut reader, READ)?;
            if again != first {
                self.wrong.push(format!("the reader saw {first}, and later {again}"));
                break;
            }
            let report = scene.look();
            if report.verdict != Verdict::Ok {
                self.wrong.push(format!("the doctor was not content: {}", report.text()));
            }
        }
        text(&mut reader, "COMMIT")?;
        let refreshes = runs(scene)? - before;
        if refreshes < REFRESHES {
            self.wrong.push(format!("only {refreshes} refreshes came in that time"));
        }
        Ok(Healed::ByItself)
    }

    fn check(&mut self, _scene: &Scene) -> Result<Vec<String>, Error> {
        Ok(std::mem::take(&mut self.wrong))
    }
}
