//! What happened in the last hour: marks, runs, loads. Only so much of it is kept.

use super::known::now;
use super::model::{Load, Run};
use super::noted::{HOUR, put_mark};
use super::store::Store;
use crate::marks::Mark;

/// The most that is kept.
const RUNS: usize = 4000;
const LOADS: usize = 50;

impl Store {
    /// Notes a mark, or what has become of one, and tells it.
    pub fn mark(&self, mark: Mark) {
        self.tell("mark", &mark);
        put_mark(&mut self.lock().marks, mark);
    }

    /// Notes a run that ended, and tells it. Those of before this program began are not counted.
    pub fn run(&self, run: Run, is_counted: bool) {
        self.tell("run", &run);
        let mut inner = self.lock();
        // Both counts are there from the first run on: a counter that begins at 1 hides the first failure from rate().
        for (status, is_ok) in [("succeeded", true), ("failed", false)] {
            let count = inner.run_counts.entry((run.server.clone(), run.job.clone(), status)).or_default();
            *count += u64::from(is_counted && (run.ok == Some(true)) == is_ok);
        }
        inner.runs.push_back(run);
        let oldest = now().saturating_sub(HOUR);
        while inner.runs.len() > RUNS || inner.runs.front().is_some_and(|run| run.start < oldest) {
            inner.runs.pop_front();
        }
    }

    /// Counts runs that were not seen by themselves.
    pub fn count_runs(&self, server: &str, job: &str, succeeded: i64, failed: i64) {
        let mut inner = self.lock();
        for (status, count) in [("succeeded", succeeded), ("failed", failed)] {
            let counted = inner.run_counts.entry((server.to_owned(), job.to_owned(), status)).or_default();
            *counted += u64::try_from(count).unwrap_or(0);
        }
    }

    /// Notes a load, or how far it is, and tells it.
    pub fn load(&self, load: Load) {
        self.tell("load", &load);
        let mut inner = self.lock();
        match inner.loads.iter_mut().find(|known| known.id == load.id) {
            Some(known) => *known = load,
            None => inner.loads.push_back(load),
        }
        while inner.loads.len() > LOADS {
            inner.loads.pop_front();
        }
    }
}
