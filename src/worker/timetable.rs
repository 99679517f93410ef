//! When which job is due.

use std::time::{Duration, Instant};

use crate::jobs::Job;

/// How long a job that was not there to be run is left alone: it may be registered at any time.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(3);

/// The jobs of a process and when each was last seen to.
pub struct Timetable {
    entries: Vec<Entry>,
}

struct Entry {
    job: &'static Job,
    last: Option<Attempt>,
}

#[derive(Clone, Copy)]
struct Attempt {
    begun: Instant,
    ran: bool,
}

impl Timetable {
    /// All jobs are due at once: after a long stop the months ahead are wanted now, not tomorrow.
    pub fn new(jobs: &[&'static Job]) -> Self {
        Self { entries: jobs.iter().map(|job| Entry { job, last: None }).collect() }
    }

    /// Has `run` run the jobs that are due; it tells whether the job was there to be run.
    ///
    /// A run that took longer than the interval is followed by the next at once, but what was missed is not made up for.
    pub fn run_due(&mut self, mut run: impl FnMut(&Job) -> bool) {
        for entry in &mut self.entries {
            let begun = Instant::now();
            if entry.time_left(begun) == Some(Duration::ZERO) {
                entry.last = Some(Attempt { begun, ran: run(entry.job) });
            }
        }
    }

    /// How long it is to the next job; `None` if all are turned off.
    pub fn time_to_next(&self) -> Option<Duration> {
        let now = Instant::now();
        self.entries.iter().filter_map(|entry| entry.time_left(now)).min()
    }
}

impl Entry {
    fn time_left(&self, now: Instant) -> Option<Duration> {
        let interval = (self.job.interval)()?;
        let Some(last) = self.last else { return Some(Duration::ZERO) };
        let pause = if last.ran { interval } else { interval.min(LOOK_AGAIN_AFTER) };
        Some((last.begun + pause).saturating_duration_since(now))
    }
}
