//! Leaves out of a script that fails what it fails without.

use std::time::{Duration, Instant};

use crate::cluster::Cluster;
use crate::perform::{Failure, Tally, perform};
use crate::script::Script;

const WITHIN: Duration = Duration::from_secs(120);

/// The shortest script that was found, and how it fails.
pub fn shrink(cluster: &mut Cluster, script: &Script, failure: &Failure) -> (Script, Failure) {
    let began = Instant::now();
    let mut best = (script.clone(), Failure { statement: failure.statement, what: failure.what.clone() });
    best.0.statements.truncate(failure.statement + 1);
    let mut index = best.0.statements.len() - 1;
    while index > 0 && began.elapsed() < WITHIN {
        index -= 1;
        let shorter = best.0.without(index);
        if let Err(other) = perform(cluster, &shorter, &mut Tally::default())
            && symptom(&other) == symptom(failure)
        {
            best = (shorter, other);
            best.0.statements.truncate(best.1.statement + 1);
            index = index.min(best.0.statements.len() - 1);
        }
    }
    best
}

/// What makes two failures the same.
fn symptom(failure: &Failure) -> &str {
    failure.what.split([':', '\n']).next().unwrap_or_default()
}
