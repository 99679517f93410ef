//! Asks a server over HTTP: is the page there, what do it and Prometheus say to the tests, and what Patroni.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// An answer is not read beyond this.
const MOST: usize = 64 << 20;

/// An answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers; their names in small letters.
    pub headers: BTreeMap<String, String>,
    /// The rest.
    pub body: String,
}

/// Asks for a path by this method and Host, which more headers may follow, a line each.
///
/// It speaks HTTP/1.0, in which an answer comes whole, and ends with the connection.
///
/// # Errors
///
/// If nobody answers at the port, the whole answer is not there in that time, or what comes is no answer.
pub fn ask(port: u16, method: &str, path: &str, host: &str, within: Duration) -> io::Result<Answer> {
    ask_at(("127.0.0.1", port), method, path, host, within)
}

/// The same at another host. How long its name server and a first packet may take is the caller's to limit.
pub(crate) fn ask_at(
    address: (&str, u16),
    method: &str,
    path: &str,
    host: &str,
    within: Duration,
) -> io::Result<Answer> {
    let (mut stream, until) = (TcpStream::connect(address)?, Instant::now() + within);
    stream.set_write_timeout(Some(within))?;
    write!(stream, "{method} {path} HTTP/1.0\r\nHost: {host}\r\n\r\n")?;
    let (mut text, mut part) = (Vec::new(), [0; 1 << 14]);
    while text.len() < MOST {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("no whole answer within {} s", within.as_secs()),
            ));
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut part)? {
            0 => break,
            read => text.extend_from_slice(part.get(..read).unwrap_or_default()),
        }
    }
    let text = String::from_utf8_lossy(&text);
    parsed(&text)
        .ok_or_else(|| io::Error::other(format!("no answer of HTTP: {:.200}", text.escape_debug().to_string())))
}

fn parsed(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let status = lines.next()?.strip_prefix("HTTP/")?.split(' ').nth(1)?.parse().ok()?;
    let headers = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()));
    Some(Answer { status, headers: headers.collect(), body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::parsed;

    #[test]
    fn an_answer_has_a_status_headers_and_a_body() {
        let answer = parsed("HTTP/1.0 404 Not Found\r\nContent-Type: text/plain\r\n\r\na\r\n\r\nb").unwrap_or_default();
        assert_eq!((answer.status, answer.body.as_str()), (404, "a\r\n\r\nb"));
        assert_eq!(answer.headers.get("content-type").map(String::as_str), Some("text/plain"));
        for other in ["", "HTTP/1.0 200 OK", "SSH-2.0-x\r\n\r\n", "HTTP/1.0 x\r\n\r\n"] {
            assert_eq!(parsed(other), None, "{other}");
        }
    }
}
