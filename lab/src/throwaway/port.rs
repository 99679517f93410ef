//! Ports that stay ours: a lock file a port keeps other throw-away servers away, also before the server listens and
//! while it is down in the middle of a test.

use std::fs::File;

use crate::error::{Context, Error};
use crate::server::ports::{RANGE, candidates, is_free};
use crate::throwaway::environment::Environment;
use crate::throwaway::leftovers::lock_file;

/// A port that no other throw-away server uses as long as this lives.
#[derive(Debug)]
pub(crate) struct Port {
    pub number: u16,
    _lock: File,
}

impl Port {
    pub fn reserve(environment: &Environment) -> Result<Self, Error> {
        let folder = environment.scratch.join("ports-taken");
        let made = environment.owner.files(|| std::fs::create_dir_all(&folder));
        made.context(|| format!("make {}", folder.display()))?;
        for number in candidates() {
            let lock = lock_file(&environment.owner, &folder.join(number.to_string()))?;
            if lock.try_lock().is_ok() && is_free(number) {
                return Ok(Self { number, _lock: lock });
            }
        }
        Err(Error::Environment(format!("no port of {RANGE:?} is free on 127.0.0.1")))
    }
}
