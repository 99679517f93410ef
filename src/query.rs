//! Commands of which only the effect is wanted, and questions that are answered by yes or no.

use pgrx::Spi;
use pgrx::datum::DatumWithOid;

/// Runs a command with the rights and settings of the moment.
pub fn run(command: &str, arguments: &[DatumWithOid<'_>]) -> Result<(), pgrx::spi::Error> {
    Spi::connect_mut(|client| client.update(command, None, arguments).map(|_| ()))
}

/// Whether a question is answered by true, with the rights and settings of the moment and by a snapshot of now.
pub fn is(question: &str, arguments: &[DatumWithOid<'_>]) -> Result<bool, pgrx::spi::Error> {
    Spi::connect_mut(|client| client.update(question, Some(1), arguments)?.first().get(1).map(|is| is.unwrap_or(false)))
}
