//! Commands of which only the effect is wanted.

use pgrx::Spi;
use pgrx::datum::DatumWithOid;

/// Runs a command with the rights and settings of the moment.
pub fn run(command: &str, arguments: &[DatumWithOid<'_>]) -> Result<(), pgrx::spi::Error> {
    Spi::connect_mut(|client| client.update(command, None, arguments).map(|_| ()))
}
