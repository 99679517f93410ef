//! Waiting for a condition, never for a time.

use std::time::{Duration, Instant};

use crate::error::Error;

/// Asks `condition` until it answers `Ok`, whose value it returns; after `limit` fails with `what` and the state that
/// the last answer gave. Asks at first often, later every 100 ms.
pub fn try_wait<T>(what: &str, limit: Duration, mut condition: impl FnMut() -> Result<T, String>) -> Result<T, Error> {
    let start = Instant::now();
    let mut pause = Duration::from_millis(5);
    loop {
        match condition() {
            Ok(value) => return Ok(value),
            Err(last) if start.elapsed() >= limit => {
                return Err(Error::Timeout { what: what.to_owned(), limit, last });
            }
            Err(_) => std::thread::sleep(pause),
        }
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}
