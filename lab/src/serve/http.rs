//! The answers to requests, and the connections they come by.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use bytes::Bytes;
use futures_util::stream::unfold;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::balance::{self, Part};
use super::connections::{Connections, LongLived};
use super::draw;
use super::files::FILES;
use super::guard::{Names, protect, refuse};
use super::patient::Patient;
use super::scrape;
use super::store::{Store, event};
use crate::metrics;

/// So many connections are open at once; for more the oldest ones are closed that are no pages.
const CONNECTIONS: usize = 256;

/// So many of them may be pages that get events. The other places are for requests that are answered at once.
const READERS: usize = 100;

/// An answer that takes some making is told again to whoever asks so soon after.
const FRESH: Duration = Duration::from_secs(1);

/// How long a request may take to arrive.
const REQUEST: Duration = Duration::from_secs(10);

/// So much may wait to be sent on a connection.
const BUFFER: usize = 32 * 1024;

/// What the answers are made from.
#[derive(Clone)]
struct Shared {
    store: Arc<Store>,
    names: Names,
    readers: Arc<Semaphore>,
    scraped: Arc<Mutex<Option<(Instant, Bytes)>>>,
}

/// Answers whoever connects, for ever.
pub async fn serve(listener: TcpListener, store: Arc<Store>, names: Names) {
    let shared = Shared { store, names, readers: Arc::new(Semaphore::new(READERS)), scraped: Arc::default() };
    let router = router(shared);
    let connections = Connections::new(CONNECTIONS);
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            // Too many open files, or a connection that was gone before it was taken.
            Err(_) => {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let place = connections.take();
        let (number, long_lived) = (place.number(), place.long_lived.clone());
        let answers = TowerToHyperService::new(router.clone());
        let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
            request.extensions_mut().insert(long_lived.clone());
            answers.call(request)
        });
        let task = tokio::spawn(async move {
            let _place = place;
            // Events are small, and each is to be seen at once.
            let _ = stream.set_nodelay(true);
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(REQUEST)
                // A request each: nobody keeps a place by asking now and then.
                .keep_alive(false)
                .max_buf_size(BUFFER)
                .serve_connection(TokioIo::new(Patient::new(stream)), service);
            // Whoever went away is told nothing.
            let _ = connection.await;
        });
        connections.is_held_by(number, task.abort_handle());
    }
}

fn router(shared: Shared) -> Router {
    let mut router = Router::new()
        .route("/api/state", get(state))
        .route("/api/history", get(history))
        .route("/api/events", get(events))
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok" }))
        .route("/primary/{server}", get(is_primary))
        .route("/replica/{server}", get(is_replica));
    for (path, kind, bytes) in FILES {
        let answer = move || async move { ([(CONTENT_TYPE, *kind), (CACHE_CONTROL, "no-cache")], *bytes) };
        router = router.route(path, get(answer));
    }
    router
        .fallback(|| async { (StatusCode::NOT_FOUND, "There is nothing here.\n") })
        .layer(from_fn_with_state(shared.clone(), guarded))
        .with_state(shared)
}

async fn guarded(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let refused = refuse(&shared.names, request.method(), request.uri(), request.headers());
    let mut response = match refused {
        Some(response) => response,
        None => next.run(request).await,
    };
    protect(&mut response);
    response
}

const JSON: [(axum::http::HeaderName, &str); 1] = [(CONTENT_TYPE, "application/json")];

async fn state(State(shared): State<Shared>) -> Response {
    shared.store.asks();
    match shared.store.state() {
        Some(json) => (JSON, json).into_response(),
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Made once for all that ask between two samples.
async fn history(State(shared): State<Shared>) -> Response {
    let mut inner = shared.store.lock();
    let history = match &inner.history {
        Some(history) => history.clone(),
        None => {
            let history = Bytes::from(draw::history(&inner));
            inner.history = Some(history.clone());
            history
        }
    };
    (JSON, history).into_response()
}

/// For a load balancer: 200 where a server has the part, else 503, and why in a line.
async fn is_primary(State(shared): State<Shared>, Path(server): Path<String>) -> Response {
    part(balance::primary(&shared.store.lock(), &server))
}

async fn is_replica(State(shared): State<Shared>, Path(server): Path<String>) -> Response {
    part(balance::replica(&shared.store.lock(), &server))
}

fn part(part: Part) -> Response {
    let (status, line) = match part {
        Part::Has => (StatusCode::OK, "yes\n".to_owned()),
        Part::HasNot(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("no: {why}\n")),
        Part::NoSuchServer(names) => (StatusCode::NOT_FOUND, format!("There is no such server: {names}\n")),
    };
    (status, line).into_response()
}

async fn metrics(State(shared): State<Shared>) -> Response {
    let mut scraped = shared.scraped.lock().unwrap_or_else(PoisonError::into_inner);
    let text = match scraped.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
        Some((_, text)) => text.clone(),
        None => {
            let readers = READERS - shared.readers.available_permits();
            let text = Bytes::from(metrics::encode(scrape::samples(&shared.store.lock(), readers)));
            *scraped = Some((Instant::now(), text.clone()));
            text
        }
    };
    ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response()
}

/// Events for one page. All pages share the same bytes: one that reads slowly costs no more than its place.
struct Reader {
    store: Arc<Store>,
    receiver: Receiver<Bytes>,
    is_new: bool,
    _place: OwnedSemaphorePermit,
}

async fn events(State(shared): State<Shared>, Extension(long_lived): Extension<LongLived>) -> Response {
    let Ok(place) = Arc::clone(&shared.readers).try_acquire_owned() else {
        let why = format!("{READERS} pages are open already: close one.\n");
        return (StatusCode::SERVICE_UNAVAILABLE, why).into_response();
    };
    long_lived.set();
    shared.store.asks();
    let receiver = shared.store.events.subscribe();
    let reader = Reader { store: shared.store, receiver, is_new: true, _place: place };
    let body = Body::from_stream(unfold(reader, |mut reader| async {
        let next = reader.next().await?;
        Some((Ok::<_, Infallible>(next), reader))
    }));
    ([(CONTENT_TYPE, "text/event-stream")], body).into_response()
}

impl Reader {
    /// The state first, and again after something was missed: what happened meanwhile is in it.
    async fn next(&mut self) -> Option<Bytes> {
        if std::mem::take(&mut self.is_new) {
            return self.state();
        }
        match self.receiver.recv().await {
            Ok(event) => Some(event),
            Err(RecvError::Lagged(_)) => self.state(),
            Err(RecvError::Closed) => None,
        }
    }

    fn state(&self) -> Option<Bytes> {
        self.store.state().map(|json| event("state", &json))
    }
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
