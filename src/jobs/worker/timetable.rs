//! When which job is due.

use std::time::{Duration, Instant};

use crate::jobs::Job;

/// How long a job that was not there to be run is left alone: it may be registered at any time.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(3);

/// A job that fails is tried again after its interval, then after twice as long, and so on up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// What became of a job that was due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is not registered.
    NotThere,
    Succeeded,
    Failed,
}

/// The jobs of a process and when each was last seen to.
pub struct Timetable {
    entries: Vec<Entry>,
}

struct Entry {
    job: &'static Job,
    last: Option<Attempt>,
    /// How often in a row it has failed.
    failures: u32,
}

#[derive(Clone, Copy)]
struct Attempt {
    begun: Instant,
    ended: Instant,
    outcome: Outcome,
}

impl Timetable {
    /// All jobs are due at once: after a long stop the months ahead are wanted now, not tomorrow.
    pub fn new(jobs: &[&'static Job]) -> Self {
        Self { entries: jobs.iter().map(|job| Entry { job, last: None, failures: 0 }).collect() }
    }

    /// Has `run` run the jobs that are due, and tells it how often in a row each has failed.
    ///
    /// A run that took longer than the interval is followed by the next at once, but what was missed is not made up for.
    pub fn run_due(&mut self, mut run: impl FnMut(&Job, u32) -> Outcome) {
        for entry in &mut self.entries {
            let begun = Instant::now();
            if entry.time_left(begun) == Some(Duration::ZERO) {
                let outcome = run(entry.job, entry.failures);
                entry.failures = if outcome == Outcome::Failed { entry.failures.saturating_add(1) } else { 0 };
                entry.last = Some(Attempt { begun, ended: Instant::now(), outcome });
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
        let next = match last.outcome {
            Outcome::Succeeded => last.begun + interval,
            Outcome::NotThere => last.begun + interval.min(LOOK_AGAIN_AFTER),
            // From its end: one that fails by waiting would otherwise wait again at once.
            Outcome::Failed => last.ended + pause_after(interval, self.failures),
        };
        Some(next.saturating_duration_since(now))
    }
}

/// How long a job that has failed so often in a row is left alone.
pub fn pause_after(interval: Duration, failures: u32) -> Duration {
    let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
    interval.saturating_mul(doubled).min(LONGEST_PAUSE.max(interval))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_from_the_interval_to_five_minutes() {
        let pauses = [1, 2, 3, 7, 8, 1000].map(|failures| pause_after(Duration::from_secs(3), failures).as_secs());
        assert_eq!(pauses, [3, 6, 12, 192, 300, 300]);
        let day = Duration::from_secs(86_400);
        assert_eq!(pause_after(day, 9), day);
    }
}
