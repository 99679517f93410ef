//! Moments that a jump of the clock does not move.

use std::time::{SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

/// A moment by two clocks, both in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// Since 1970; may jump.
    pub clock: u64,
    /// Since the machine was started; does not jump, and starts anew with it.
    pub uptime: u64,
}

impl Moment {
    /// This one.
    #[must_use]
    pub fn now() -> Self {
        let uptime = clock_gettime(ClockId::Boottime);
        let uptime =
            u64::try_from(uptime.tv_sec).unwrap_or(0) * 1000 + u64::try_from(uptime.tv_nsec).unwrap_or(0) / 1_000_000;
        let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        Self { clock: u64::try_from(clock).unwrap_or(u64::MAX), uptime }
    }

    /// Milliseconds since an earlier moment.
    #[must_use]
    pub fn since(self, earlier: Self) -> u64 {
        match self.uptime.checked_sub(earlier.uptime) {
            Some(passed) => passed,
            // The machine was started in between.
            None => self.clock.saturating_sub(earlier.clock),
        }
    }
}
