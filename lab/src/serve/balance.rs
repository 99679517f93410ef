//! Which part a server has now, for a load balancer that asks about each before it sends somebody there.

use super::draw::{server_of, writer};
use super::known::{Inner, Known};
use crate::doctor::Severity;
use crate::role::Role;

/// Whether a server has a part.
#[derive(Debug, PartialEq, Eq)]
pub enum Part {
    /// It has.
    Has,
    /// It has not, and why.
    HasNot(String),
    /// No server has this name; those that there are.
    NoSuchServer(String),
}

/// Whether a server is the one that takes writes. Of two it is the one on the newer timeline.
pub fn primary(inner: &Inner, name: &str) -> Part {
    let (index, known) = match find(inner, name) {
        Ok(found) => found,
        Err(none) => return none,
    };
    match (known.up == Some(true), writer(inner) == Some(index)) {
        (false, _) => away(known),
        (true, true) => Part::Has,
        (true, false) => Part::HasNot("it is not the server that takes writes".to_owned()),
    }
}

/// Whether a server is a replica that readers may be sent to: it answers, and the doctor finds nothing broken there, such as a replay
/// that stands.
pub fn replica(inner: &Inner, name: &str) -> Part {
    let known = match find(inner, name) {
        Ok((_, known)) => known,
        Err(none) => return none,
    };
    if known.up != Some(true) {
        return away(known);
    }
    if known.role != Some(Role::Replica) {
        return Part::HasNot("it is no replica".to_owned());
    }
    let findings = inner.looked.iter().flat_map(|looked| &looked.report.findings);
    let of_it = |finding: &&crate::doctor::Finding| server_of(inner, &finding.server) == known.name;
    match findings.filter(of_it).find(|finding| finding.severity == Severity::Broken) {
        Some(finding) => Part::HasNot(format!("the doctor found {}", finding.code)),
        None => Part::Has,
    }
}

fn find<'a>(inner: &'a Inner, name: &str) -> Result<(usize, &'a Known), Part> {
    let found = inner.servers.iter().enumerate().find(|(_, known)| known.name == name);
    found.ok_or_else(|| {
        let names: Vec<_> = inner.servers.iter().map(|known| known.name.as_str()).collect();
        Part::NoSuchServer(names.join(", "))
    })
}

fn away(known: &Known) -> Part {
    let why = known.refusal.as_ref().map_or_else(|| "it was not asked yet".to_owned(), ToString::to_string);
    Part::HasNot(format!("it does not answer: {}", crate::marks::plain(&why)))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};

    use super::super::known::Looked;
    use super::*;
    use crate::doctor::{Finding, Report};

    fn known(name: &str, port: u16, role: Role, up: bool) -> Known {
        Known {
            name: name.to_owned(),
            address: format!("127.0.0.1:{port}"),
            up: Some(up),
            since: 0,
            refusal: None,
            role: Some(role),
            collected: BTreeMap::new(),
        }
    }

    #[test]
    fn who_takes_writes_is_the_primary_and_who_follows_well_a_replica() {
        let mut inner = Inner {
            servers: vec![
                known("primary", 1, Role::Replica, true),
                known("replica", 2, Role::Primary, true),
                known("replica_2", 3, Role::Replica, true),
                known("replica_3", 4, Role::Replica, false),
            ],
            ..Inner::default()
        };
        let all = ["primary", "replica", "replica_2", "replica_3"];
        let those = |inner: &Inner, part: fn(&Inner, &str) -> Part| {
            all.into_iter().filter(|name| part(inner, name) == Part::Has).collect::<Vec<_>>()
        };
        assert_eq!(those(&inner, primary), ["replica"]);
        assert_eq!(those(&inner, replica), ["primary", "replica_2"]);
        assert_eq!(replica(&inner, "x"), Part::NoSuchServer(all.join(", ")));
        let finding = Finding::new("replay_paused", Severity::Broken, "replica 127.0.0.1:3", "", "");
        let report = Report::new(Vec::new(), vec![finding]);
        inner.looked = Some(Looked { report, at: 0, since: 0, found: HashMap::new() });
        assert_eq!(those(&inner, replica), ["primary"]);
        assert_eq!(replica(&inner, "replica_2"), Part::HasNot("the doctor found replay_paused".to_owned()));
        assert_eq!(those(&inner, primary), ["replica"]);
    }
}
