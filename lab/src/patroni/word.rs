//! What Patroni says of a server, asked over HTTP.

use std::time::Duration;

use serde::Deserialize;

use crate::connect::within;
use crate::http;

/// The port of its REST interface.
const PORT: u16 = 8008;

/// How long it may take.
const ANSWER: Duration = Duration::from_secs(2);

/// `GET /patroni`, as far as it is read here: the names are the same from Patroni 3 to 4.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Word {
    /// Whether the cluster is paused.
    #[serde(default)]
    pub pause: bool,
    /// When it last reached etcd, in seconds since 1970.
    #[serde(default)]
    pub dcs_last_seen: u64,
    /// Whether nobody holds the leader's key, as far as it knows.
    #[serde(default)]
    pub cluster_unlocked: bool,
    /// What the server does: `running`, `stopped`, `start failed` ..
    #[serde(default)]
    pub state: String,
}

/// The port of etcd.
const ETCD: u16 = 2379;

/// Whether an etcd says that it is well, which one without a majority is not. It asks nobody for a password there.
pub(super) fn is_well(etcd: &str) -> bool {
    let host = etcd.to_owned();
    let asked = within(ANSWER, move || http::ask_at((&host, ETCD), "GET", "/health", &host, ANSWER));
    asked.is_some_and(|answer| answer.is_ok_and(|answer| answer.status == 200))
}

/// Asks the Patroni of a server, by its host.
pub(super) fn ask(host: &str) -> Result<Word, String> {
    let host = host.to_owned();
    // A name server may hang, too.
    within(ANSWER, move || {
        let answer =
            http::ask_at((&host, PORT), "GET", "/patroni", &host, ANSWER).map_err(|error| error.to_string())?;
        // The status says whether the server runs; the rest is there in any case.
        serde_json::from_str(&answer.body).map_err(|error| format!("it gives no answer of Patroni's: {error}"))
    })
    .unwrap_or_else(|| Err(format!("no answer within {} s", ANSWER.as_secs())))
}
