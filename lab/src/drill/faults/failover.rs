//! A primary that is lost for good, and two primaries at once.

use std::time::Duration;

use crate::doctor::Finding;
use crate::drill::fault::{Fault, Healed};
use crate::drill::scene::Scene;
use crate::error::Error;
use crate::role::Role;

/// How the replica becomes the primary.
pub struct Failover {
    split: bool,
    identifier: String,
    wrong: Vec<String>,
}

impl Failover {
    /// All processes of the primary are killed, and the replica takes over.
    pub fn of_a_lost_primary() -> Box<dyn Fault> {
        Box::new(Self { split: false, identifier: String::new(), wrong: Vec::new() })
    }

    /// The replica is promoted while its primary lives.
    pub fn with_a_living_primary() -> Box<dyn Fault> {
        Box::new(Self { split: true, identifier: String::new(), wrong: Vec::new() })
    }
}

const IDENTIFIER: &str = "SELECT system_identifier FROM pg_control_system()";

const JOBS: &str = "\
    SELECT count(*) FILTER (WHERE last_status = 'succeeded' AND last_finished_at > clock_timestamp() - interval '15 s') \
    FROM public.operations_jobs() WHERE job_name IN ('operation_insert_one', 'change_status')";

impl Fault for Failover {
    fn prepare(&mut self, scene: &Scene) -> Result<(), Error> {
        self.identifier = scene.ask(Role::Primary, IDENTIFIER)?;
        Ok(())
    }

    fn cause(&mut self, scene: &Scene) -> Result<String, Error> {
        if self.split {
            let again = Scene::new(scene.demo.clone(), std::sync::Arc::default(), scene.pace)?;
            // Where there is no old primary any more, it says so and does nothing.
            scene.later("make rejoin", move || again.make("rejoin", &[]).map(drop));
            let promoted = crate::server::promote(&mut scene.session(Role::Replica)?);
            promoted
                .map(|()| "the replica was promoted (pg_promote) while its primary lived and took writes".to_owned())
        } else {
            scene.data(Role::Primary).kill_all()?;
            Ok("all processes of the primary were killed (SIGKILL), as a lost machine would".to_owned())
        }
    }

    fn heal(&mut self, scene: &Scene, _seen: &Finding) -> Result<Healed, Error> {
        let mut typed = "make rejoin";
        if !self.split {
            scene.make("failover", &[])?;
            typed = "make failover; make rejoin";
        }
        let said = scene.make("rejoin", &[])?;
        // The old primary took writes until it was fenced.
        if self.split && !said.contains("they are kept in ") {
            self.wrong
                .push(format!("make rejoin did not say where the rows are that only the old primary had: {said}"));
        }
        Ok(Healed::Typed(typed.to_owned()))
    }

    fn check(&mut self, scene: &Scene) -> Result<Vec<String>, Error> {
        if scene.ask(Role::Primary, IDENTIFIER)? != self.identifier {
            self.wrong.push("the primary is of another cluster".to_owned());
        }
        if scene.now().called(Role::Primary) == scene.demo.called(Role::Primary) {
            self.wrong.push("the old primary is the primary still".to_owned());
        }
        scene.becomes(Role::Primary, JOBS, "2", Duration::from_secs(15))?;
        Ok(std::mem::take(&mut self.wrong))
    }
}
