//! Free ports that stay ours: a lock file a port keeps other servers of these tests away, also before the server
//! listens and while it is down in the middle of a test.

use std::fs::File;
use std::net::TcpListener;

use crate::environment::Environment;
use crate::error::{Context, Error};

/// Below the range that Linux takes for outgoing connections, so that no client gets our port by chance.
const RANGE: std::ops::Range<u16> = 21_000..31_000;

/// A port that no other server of these tests uses as long as this lives.
#[derive(Debug)]
pub(crate) struct Port {
    pub number: u16,
    _lock: File,
}

impl Port {
    pub fn reserve(environment: &Environment) -> Result<Self, Error> {
        let folder = environment.scratch.join("ports");
        std::fs::create_dir_all(&folder).context(|| format!("make {}", folder.display()))?;
        // Start where no other process of this moment starts; the lock decides, this only saves attempts.
        let start = (std::process::id() % 1_000) as u16 * 10;
        for step in 0..RANGE.len() as u16 {
            let number = RANGE.start + (start + step) % RANGE.len() as u16;
            let path = folder.join(number.to_string());
            let lock = File::create(&path).context(|| format!("make {}", path.display()))?;
            if lock.try_lock().is_ok() && TcpListener::bind(("127.0.0.1", number)).is_ok() {
                return Ok(Self { number, _lock: lock });
            }
        }
        Err(Error::Environment(format!("no port of {RANGE:?} is free on 127.0.0.1")))
    }
}
