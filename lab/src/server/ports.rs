//! Free ports of 127.0.0.1.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as SocketName, UnixListener};
use std::sync::OnceLock;
use std::time::Duration;

use crate::error::Error;

/// Below the range that Linux takes for outgoing connections, so that no client gets our port by chance.
pub(crate) const RANGE: std::ops::Range<u16> = 21_000..31_000;

/// So many ports a process tries before those at which another one begins.
const BLOCK: u16 = 10;

/// The ports of [`RANGE`], from one on where no other process begins while this one lives: a port whose server is down for a moment
/// looks free.
pub(crate) fn candidates() -> impl Iterator<Item = u16> {
    static OWN: OnceLock<(u16, Option<UnixListener>)> = OnceLock::new();
    let count = RANGE.len() as u16;
    let (block, _) = OWN.get_or_init(|| reserve((std::process::id() % u32::from(count / BLOCK)) as u16));
    let start = block * BLOCK;
    (0..count).map(move |step| RANGE.start + (start + step) % count)
}

/// A block of ports that no other process has, from one on, for as long as the socket is open. Its name is in no folder, and is free
/// again when the process ends. If all are taken, any must do.
fn reserve(first: u16) -> (u16, Option<UnixListener>) {
    let blocks = RANGE.len() as u16 / BLOCK;
    let take = |block: u16| {
        let address = SocketName::from_abstract_name(format!("operations_ext ports {block}")).ok()?;
        Some((block, Some(UnixListener::bind_addr(&address).ok()?)))
    };
    (0..blocks).find_map(|step| take((first + step) % blocks)).unwrap_or((first, None))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_of_ports_is_of_one_process() {
        let (first, held) = reserve(7);
        assert!(held.is_some());
        let (second, _held) = reserve(first);
        assert_ne!(second, first);
    }
}
