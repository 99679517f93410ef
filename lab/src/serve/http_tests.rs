//! What others may do with connections.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::*;

/// How long an answer may take.
const SOON: Duration = Duration::from_secs(5);

async fn begin() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, Store::new([]), Names::default()));
    address
}

async fn ask(address: SocketAddr, method: &str, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).await.unwrap();
    stream
}

async fn get(address: SocketAddr, path: &str) -> String {
    whole(ask(address, "GET", path).await).await
}

/// All of the answer, which ends when the server closes the connection.
async fn whole(mut stream: TcpStream) -> String {
    let mut text = String::new();
    timeout(SOON, stream.read_to_string(&mut text)).await.unwrap().unwrap();
    text
}

async fn first_line(stream: &mut TcpStream) -> String {
    let mut bytes = [0; 64];
    let count = timeout(SOON, stream.read(&mut bytes)).await.unwrap().unwrap();
    String::from_utf8_lossy(&bytes[..count]).lines().next().unwrap_or_default().to_owned()
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build().unwrap().block_on(test);
}

#[test]
fn whoever_takes_all_places_keeps_nobody_out() {
    run(async {
        let address = begin().await;
        let mut pages = Vec::new();
        for _ in 0..READERS {
            let mut page = ask(address, "GET", "/api/events").await;
            assert_eq!(first_line(&mut page).await, "HTTP/1.1 200 OK");
            pages.push(page);
        }
        assert!(get(address, "/api/events").await.starts_with("HTTP/1.1 503"));
        let mut silent = Vec::new();
        for _ in 0..CONNECTIONS {
            silent.push(TcpStream::connect(address).await.unwrap());
            // Each half a request, which may still go on.
            silent.last_mut().unwrap().write_all(b"GET /healthz HTTP/1.1\r\n").await.unwrap();
        }
        for path in ["/metrics", "/healthz", "/api/state", "/"] {
            assert!(get(address, path).await.starts_with("HTTP/1.1 200"), "{path}");
        }
        // No page has gone for that, and the first that were silent have.
        for page in &mut pages {
            let mut bytes = [0; 4096];
            while let Ok(read) = page.try_read(&mut bytes) {
                assert_ne!(read, 0, "a page was closed");
            }
        }
        let mut rest = [0; 16];
        let ended = timeout(SOON, silent[0].read(&mut rest)).await.unwrap();
        assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    });
}

#[test]
fn an_answer_is_the_last_of_its_connection() {
    run(async {
        let address = begin().await;
        let answer = get(address, "/healthz").await.to_ascii_lowercase();
        assert!(answer.starts_with("http/1.1 200") && answer.contains("connection: close"), "{answer}");
    });
}

#[test]
fn head_is_answered_without_a_body_and_keeps_no_place() {
    run(async {
        let address = begin().await;
        for path in ["/", "/metrics", "/api/state"] {
            let answer = whole(ask(address, "HEAD", path).await).await;
            assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\n"), "{path}: {answer}");
        }
        for _ in 0..=READERS {
            let answer = whole(ask(address, "HEAD", "/api/events").await).await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        }
    });
}

#[test]
fn what_takes_some_making_is_made_once_a_second() {
    run(async {
        let address = begin().await;
        // The number of readers is part of it, so that one that is made anew is another one.
        let before = get(address, "/metrics").await;
        let _page = ask(address, "GET", "/api/events").await;
        let began = Instant::now();
        let after = get(address, "/metrics").await;
        assert!(before == after || began.elapsed() > FRESH / 2, "{after}");
        let limit = Instant::now() + SOON;
        while get(address, "/metrics").await == before {
            assert!(Instant::now() < limit, "it is never made anew");
        }
    });
}
