//! Leaves out of a script that fails what it fails without.

use std::time::{Duration, Instant};

use crate::perform::{Failure, Tally, perform};
use crate::script::Script;
use crate::stage::Stage;

const WITHIN: Duration = Duration::from_secs(120);

/// The shortest script that was found, and how it fails.
pub fn shrink(stage: &mut Stage, script: &Script, failure: &Failure) -> (Script, Failure) {
    let began = Instant::now();
    let mut best = (script.clone(), Failure { step: failure.step, what: failure.what.clone() });
    best.0.steps.truncate(failure.step + 1);
    let mut index = best.0.steps.len() - 1;
    while index > 0 && began.elapsed() < WITHIN {
        index -= 1;
        let shorter = best.0.without(index);
        if let Err(other) = perform(stage, &shorter, &mut Tally::default())
            && symptom(&other) == symptom(failure)
        {
            best = (shorter, other);
            best.0.steps.truncate(best.1.step + 1);
            index = index.min(best.0.steps.len() - 1);
        }
    }
    best
}

/// What makes two failures the same.
fn symptom(failure: &Failure) -> &str {
    failure.what.split([':', '\n']).next().unwrap_or_default()
}
