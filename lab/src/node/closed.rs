//! What a server that is kept closed tells its clients: that it cannot be connected to now. Docker takes connections to a published
//! port whether somebody listens or not, and libpq goes on to the next host only if it is told so, and not if the connection just ends.

use std::io::{self, Read, Write};
use std::net::{Ipv6Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::demo::nodes::PORT;

/// How long a client may take to say what it wants.
const LIMIT: Duration = Duration::from_secs(2);

/// So many are answered at once.
const MOST: usize = 16;

/// Requests for encryption, which are answered by N: SSLRequest and GSSENCRequest.
const ENCRYPTION: [u32; 2] = [80_877_103, 80_877_104];

/// The longest packet that PostgreSQL takes there.
const LONGEST: u32 = 10_000;

/// A port on which nobody is let in. It is free again when this goes.
pub struct Closed {
    listener: TcpListener,
    at_work: Arc<AtomicUsize>,
}

impl Closed {
    /// Takes the server's port; nothing if it is taken.
    pub fn listen() -> Option<Self> {
        Self::on(PORT).ok()
    }

    fn on(port: u16) -> io::Result<Self> {
        let listener =
            TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).or_else(|_| TcpListener::bind(("0.0.0.0", port)))?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, at_work: Arc::default() })
    }

    /// Answers those who wait, each in a thread, for a client may say nothing; and not more than so many at a time, for whoever calls
    /// this has more to do.
    pub fn answer(&self, why: &str) {
        let waiting = std::iter::from_fn(|| self.listener.accept().ok());
        for (client, _) in waiting.take(MOST) {
            if self.at_work.fetch_add(1, Ordering::Relaxed) >= MOST {
                self.at_work.fetch_sub(1, Ordering::Relaxed);
                continue;
            }
            let (at_work, why) = (Arc::clone(&self.at_work), why.to_owned());
            std::thread::spawn(move || {
                // Whoever goes away is answered, too.
                let _ = refuse(&client, &why);
                at_work.fetch_sub(1, Ordering::Relaxed);
            });
        }
    }
}

fn refuse(mut client: &TcpStream, why: &str) -> io::Result<()> {
    client.set_nonblocking(false)?;
    client.set_read_timeout(Some(LIMIT))?;
    client.set_write_timeout(Some(LIMIT))?;
    // Both kinds of encryption may be asked for before the session is.
    for _ in 0..=ENCRYPTION.len() {
        let mut head = [0; 8];
        client.read_exact(&mut head)?;
        let [length, code] = [0, 4].map(|at| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]));
        if ENCRYPTION.contains(&code) {
            client.write_all(b"N")?;
            continue;
        }
        let rest = length.saturating_sub(8).min(LONGEST);
        io::copy(&mut client.take(u64::from(rest)), &mut io::sink())?;
        return client.write_all(&error(why));
    }
    Ok(())
}

/// An ErrorResponse of the protocol: cannot_connect_now, which libpq takes for a reason to try the next host.
fn error(why: &str) -> Vec<u8> {
    let mut fields = Vec::new();
    for (kind, text) in [(b'S', "FATAL"), (b'V', "FATAL"), (b'C', "57P03"), (b'M', why)] {
        fields.push(kind);
        fields.extend(text.bytes().filter(|byte| *byte != 0));
        fields.push(0);
    }
    fields.push(0);
    let length = u32::try_from(fields.len() + 4).unwrap_or(4).to_be_bytes();
    [&b"E"[..], &length, &fields].concat()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by a panic")]
mod tests {
    use super::*;

    /// Those who are not answered are not left waiting, and not all of them are taken at once.
    #[test]
    fn a_crowd_does_not_keep_the_container_from_its_work() {
        let closed = Closed::on(0).unwrap();
        let port = closed.listener.local_addr().unwrap().port();
        let crowd: Vec<_> = (0..40).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
        closed.answer("closed");
        let left = std::iter::from_fn(|| closed.listener.accept().ok()).count();
        assert_eq!(left, crowd.len() - MOST);
    }

    #[test]
    fn clients_are_told_to_try_the_next_host() {
        let closed = Closed::on(0).unwrap();
        let port = closed.listener.local_addr().unwrap().port();
        let mut config = postgres::Config::new();
        config.host("127.0.0.1").port(port).user("me").connect_timeout(Duration::from_secs(5));
        let client = std::thread::spawn(move || config.connect(postgres::NoTls).map(drop).unwrap_err());
        while !client.is_finished() {
            closed.answer("this server is fenced off");
            std::thread::sleep(Duration::from_millis(10));
        }
        let refused = client.join().unwrap();
        let refused = refused.as_db_error().unwrap();
        assert_eq!((refused.code().code(), refused.message()), ("57P03", "this server is fenced off"));
    }
}
