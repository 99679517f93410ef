//! Randomness from the operating system, for what nobody gave a seed for.

use chacha20::ChaCha8Rng;
use rand::rngs::SysRng;
use rand::{SeedableRng, TryRng};

use crate::error::Error;

/// A seed that nobody can foresee.
pub fn seed() -> Result<u64, Error> {
    SysRng.try_next_u64().map_err(|cause| Error::NoRandomness { cause: cause.to_string() })
}

/// A generator that nobody can foresee.
pub fn generator() -> Result<ChaCha8Rng, Error> {
    ChaCha8Rng::try_from_rng(&mut SysRng).map_err(|cause| Error::NoRandomness { cause: cause.to_string() })
}
