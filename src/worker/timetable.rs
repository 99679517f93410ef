//! When which job is due.

use std::time::{Duration, Instant};

use crate::jobs::Job;

/// The jobs of a process and when each began last.
pub struct Timetable {
    entries: Vec<(&'static Job, Option<Instant>)>,
}

impl Timetable {
    /// All jobs are due at once: after a long stop the months ahead are wanted now, not tomorrow.
    pub fn new(jobs: &[&'static Job]) -> Self {
        Self { entries: jobs.iter().map(|job| (*job, None)).collect() }
    }

    /// The jobs that are due. They count as begun now; a run that took longer than the interval is followed by the next
    /// at once, but what was missed is not made up for.
    pub fn take_due(&mut self) -> Vec<&'static Job> {
        let now = Instant::now();
        let mut due = Vec::new();
        for (job, begun) in &mut self.entries {
            if time_to(job, *begun, now) == Some(Duration::ZERO) {
                *begun = Some(now);
                due.push(*job);
            }
        }
        due
    }

    /// How long it is to the next job; `None` if all are turned off.
    pub fn time_to_next(&self) -> Option<Duration> {
        let now = Instant::now();
        self.entries.iter().filter_map(|(job, begun)| time_to(job, *begun, now)).min()
    }
}

fn time_to(job: &Job, begun: Option<Instant>, now: Instant) -> Option<Duration> {
    let interval = (job.interval)()?;
    Some(begun.map_or(Duration::ZERO, |begun| (begun + interval).saturating_duration_since(now)))
}
