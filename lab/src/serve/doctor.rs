//! Asks the doctor, one look after the other. What the watch knows not to answer is not asked again: nobody waits for it, and no
//! connection is left hanging there.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

use super::draw::server_of;
use super::known::{Inner, Looked, Stream, now};
use super::noted::new_mark;
use super::store::Store;
use crate::connect::Refusal;
use crate::demo::Demo;
use crate::doctor::{Finding, NO_ANSWER, Options, Report, Severity, Sums, codes, examine_known};
use crate::target::Target;

/// The pause between two looks while somebody watches. A change that the watch sees ends it.
const PAUSE: Duration = Duration::from_secs(3);

/// The same while nobody does: a look costs the primary a tenth of a second.
const AT_REST: Duration = Duration::from_secs(10);

/// The same while a drill runs, whose fault may be healed within a second.
const IN_A_DRILL: Duration = Duration::from_millis(200);

/// Two changes are seen by one look.
const SETTLE: Duration = Duration::from_millis(100);

/// The longest pause.
const LONGEST: Duration = Duration::from_secs(10);

/// Whom the doctor asks.
pub enum Patients {
    /// Servers that were named.
    Named(Vec<Target>),
    /// Those of a demo, as this role and with its password. Which of them is the primary its data tell, each time anew.
    Demo(PathBuf, Box<Ways>),
}

/// The ways to the servers of a demo.
type Ways = dyn Fn(&Demo) -> Vec<Target> + Send + Sync;

/// Looks for ever.
pub async fn look(store: Arc<Store>, patients: Arc<Patients>) {
    let mut compared = None::<Instant>;
    loop {
        let refusals = known(&store);
        let asked = Arc::clone(&patients);
        let began = Instant::now();
        // In a drill the sums, most of what a look costs, are compared as often as while somebody watches.
        let skips = store.is_drilled() && compared.is_some_and(|compared| compared.elapsed() < PAUSE);
        let options = Options { sums: if skips { Sums::Skip } else { Sums::Sample }, ..Options::default() };
        let report = tokio::task::spawn_blocking(move || asked.examine(&options, &refusals)).await;
        if !skips {
            compared = report.as_ref().is_ok_and(has_right_sums).then(Instant::now);
        }
        // A look that has panicked says nothing; the last one gets old, and that is told.
        if let Ok(report) = report {
            said(&store, report);
        }
        // What takes long costs much, or waits for what hangs.
        let least = match (store.is_drilled(), store.is_watched()) {
            (true, _) => IN_A_DRILL,
            (false, true) => PAUSE,
            (false, false) => AT_REST,
        };
        let pause = began.elapsed().clamp(least, LONGEST);
        if timeout(pause, store.look.notified()).await.is_ok() {
            sleep(SETTLE).await;
        }
    }
}

/// Whether each server has compared its sums and found them right. Of any other report it is not known what they are.
fn has_right_sums(report: &Report) -> bool {
    let casts_doubt = |finding: &Finding| finding.is_of_sums() || finding.code == codes::QUESTION_FAILED;
    !report.servers.is_empty()
        && report.servers.iter().all(|line| line.state != NO_ANSWER)
        && !report.findings.iter().any(casts_doubt)
}

/// Why a server does not answer, by its address.
fn known(store: &Store) -> HashMap<String, Refusal> {
    let inner = store.lock();
    let refused = inner.servers.iter().filter_map(|known| Some((known.address.clone(), known.refusal.clone()?)));
    refused.collect()
}

impl Patients {
    fn examine(&self, options: &Options, refusals: &HashMap<String, Refusal>) -> Report {
        let known = |target: &Target| refusals.get(&target.address).cloned();
        match self {
            Self::Named(targets) => examine_known(targets, options, &known),
            Self::Demo(folder, targets) => match Demo::of_its_owner(folder) {
                Ok(demo) => demo.examine_known(&targets(&demo), options, &known),
                Err(error) => {
                    let why = error.to_string();
                    let gone = Finding::new(codes::DEMO_STOPPED, Severity::Unknown, "demo", why, "make demo");
                    Report::new(Vec::new(), vec![gone])
                }
            },
        }
    }
}

/// Who follows whom, of those that answered; of the others it stays what it was.
fn note_streams(inner: &mut Inner, report: &Report) {
    for line in report.servers.iter().filter(|line| line.state != NO_ANSWER) {
        let (name, from) = (server_of(inner, &line.name), line.follows.as_ref().map(|by| server_of(inner, by)));
        let Some(known) = inner.servers.iter_mut().find(|known| known.name == name) else { continue };
        let slot = line.slot.clone().or_else(|| known.stream.as_ref()?.slot.clone());
        known.stream = from.map(|from| Stream { from, slot });
    }
}

fn said(store: &Store, report: Report) {
    let (mark, told) = {
        let mut inner = store.lock();
        let (at, before) = (now(), inner.looked.take());
        let found = report
            .findings
            .iter()
            .map(|finding| {
                let key = (server_of(&inner, &finding.server), finding.code.clone());
                let since = before.as_ref().and_then(|before| before.found.get(&key).copied()).unwrap_or(at);
                (key, since)
            })
            .collect::<HashMap<_, _>>();
        let same_verdict = before.as_ref().is_some_and(|before| before.report.verdict == report.verdict);
        let mark = (before.is_some() && !same_verdict)
            .then(|| new_mark(&mut inner.marks, "verdict", &report.headline(), true));
        let told = before.as_ref().is_none_or(|before| !same_verdict || before.report.findings != report.findings);
        let since = before.as_ref().filter(|_| same_verdict).map_or(at, |before| before.since);
        note_streams(&mut inner, &report);
        inner.looked = Some(Looked { report, at, since, found });
        (mark, told)
    };
    if let Some(mark) = mark {
        store.tell("mark", &mark);
    }
    if told {
        store.tell_state();
    }
}
