//! By which words the page tells of servers.

use std::collections::{BTreeMap, HashMap};

use super::*;
use crate::doctor::Report;
use crate::serve::known::Looked;

fn known(name: &str, address: &str, role: Option<Role>, up: bool) -> Known {
    let collected = BTreeMap::new();
    Known {
        name: name.to_owned(),
        address: address.to_owned(),
        up: Some(up),
        since: 0,
        refusal: None,
        role,
        timeline: None,
        stream: None,
        collected,
    }
}

fn looked(server: &str) -> Option<Looked> {
    let line = crate::doctor::ServerLine {
        name: server.to_owned(),
        state: String::new(),
        version: None,
        timeline: None,
        position: None,
        follows: None,
        slot: None,
    };
    let finding = Finding::new("replay_paused", Severity::Broken, server, "", "");
    Some(Looked { report: Report::new(vec![line], vec![finding]), at: 1, since: 1, found: HashMap::new() })
}

/// After a failover the server that was made as the primary is the replica.
fn swapped() -> Inner {
    let servers = vec![
        known("primary", "127.0.0.1:5432", Some(Role::Replica), true),
        known("replica", "127.0.0.1:5433", Some(Role::Primary), true),
    ];
    Inner { servers, looked: looked("replica 127.0.0.1:5432"), ..Inner::default() }
}

#[test]
fn a_server_is_called_what_it_is_now() {
    let mut inner = swapped();
    let state = state(&inner);
    let (finding, servers) = (&state.findings[0], &state.servers);
    assert_eq!((finding.server.as_str(), servers[0].name.as_str()), ("primary", "primary"));
    assert_eq!(servers[0].called, "replica 127.0.0.1:5432");
    assert_eq!(servers[1].called, "primary 127.0.0.1:5433");
    // Who does not answer is what the doctor takes it for.
    inner.servers[0] = known("primary", "127.0.0.1:5432", Some(Role::Primary), false);
    assert_eq!(called(&inner, &inner.servers[0]), "replica 127.0.0.1:5432");
    inner.looked = None;
    assert_eq!(called(&inner, &inner.servers[0]), "primary 127.0.0.1:5432");
}

#[test]
fn a_legend_calls_a_server_what_it_is_now() {
    let mut inner = swapped();
    let metric = Metric::find("replay_lag_bytes").map(|metric| base_of(metric, Draw::Value)).unwrap_or_default();
    let values = ["primary", "replica"].map(|name| (format!("{metric}@{name}"), Some(1.0)));
    inner.ring.push(1, &BTreeMap::from(values));
    let labels: Vec<_> = series_of(&inner, "lag_bytes").into_iter().map(|series| series.label).collect();
    assert_eq!(labels, ["not replayed (replica 127.0.0.1:5432)", "not replayed (primary 127.0.0.1:5433)"]);
}

/// Each of two replicas has a slot on another server, and both slots are drawn as those whom they are for.
#[test]
fn a_slot_is_about_the_replica_that_it_is_for() {
    let mut inner = swapped();
    let stream = |from: &str, slot: &str| Some(Stream { from: from.to_owned(), slot: Some(slot.to_owned()) });
    let third = known("replica_2", "127.0.0.1:5434", Some(Role::Replica), false);
    inner.servers.push(Known { stream: stream("primary", "two"), ..third });
    inner.servers[0].stream = stream("replica", "one");
    let metric = Metric::find("slot_retained_bytes").map(|metric| base_of(metric, Draw::Value)).unwrap_or_default();
    let keys = ["{one}@replica", "{two}@primary", "{other}@replica"].map(|rest| (format!("{metric}{rest}"), Some(1.0)));
    inner.ring.push(1, &BTreeMap::from(keys));
    let mut lines: Vec<_> =
        series_of(&inner, "slot").into_iter().map(|line| (line.row, line.on, line.server)).collect();
    lines.sort();
    let (here, there) = ("primary 127.0.0.1:5433", "replica 127.0.0.1:5432");
    let wanted = [("one", here, Some("primary")), ("other", here, None), ("two", there, Some("replica_2"))];
    let wanted = wanted.map(|(row, on, of)| (row.to_owned(), Some(on.to_owned()), of.map(str::to_owned)));
    assert_eq!(lines, wanted);
}

#[test]
fn labels_that_look_like_a_server_are_none() {
    let mut inner = swapped();
    let metric = Metric::find("table_dead_rows").map(|metric| base_of(metric, Draw::Value)).unwrap_or_default();
    inner.ring.push(1, &BTreeMap::from([(format!("{metric}{{a@primary}}"), Some(1.0))]));
    let labels: Vec<_> = series_of(&inner, "vacuum").into_iter().map(|series| series.label).collect();
    assert_eq!(labels, ["dead (a@primary)"]);
}
