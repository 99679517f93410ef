//! Free ports of 127.0.0.1.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use crate::error::Error;

/// Below the range that Linux takes for outgoing connections, so that no client gets our port by chance.
pub(crate) const RANGE: std::ops::Range<u16> = 21_000..31_000;

/// The ports of [`RANGE`], from one on where most likely no other process begins.
pub(crate) fn candidates() -> impl Iterator<Item = u16> {
    let count = RANGE.len() as u16;
    let start = (std::process::id() % 1_000) as u16 * 10;
    (0..count).map(move |step| RANGE.start + (start + step) % count)
}

/// Whether a server could listen there.
pub fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// Whether somebody takes connections there.
pub fn listens(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok()
}

/// A port that is free at this moment, other than those to `avoid`.
pub fn free_port(avoid: &[u16]) -> Result<u16, Error> {
    candidates()
        .find(|port| !avoid.contains(port) && is_free(*port))
        .ok_or_else(|| Error::Environment(format!("no port of {RANGE:?} is free on 127.0.0.1")))
}
