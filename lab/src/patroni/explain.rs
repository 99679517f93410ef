//! What the doctor makes of Patroni's word: what it finds besides, and what is to be typed where Patroni decides.

use std::time::{SystemTime, UNIX_EPOCH};

use super::word::{self, Word};
use super::{ETCD, OTHER_PATRONICTL, PATRONICTL};
use crate::demo::Demo;
use crate::demo::nodes::FIRST;
use crate::doctor::{Finding, NO_ANSWER, Report, Severity, codes, disk};

/// Patroni asks etcd every 5 seconds (loop_wait), and tries for as long again (retry_timeout).
const SEEN: u64 = 15;

const START_ETCD: &str =
    "docker compose ps --all # docker compose up --detach --wait starts the etcd that do not run; else see the network";

/// Adds to a report what Patroni says, and has it advise nothing that would work against it.
pub(crate) fn explain(demo: &Demo, report: Report) -> Report {
    let Report { servers, mut findings, .. } = report;
    let nodes = demo.layout.nodes.clone();
    let asked: Vec<_> = nodes.into_iter().map(|node| std::thread::spawn(move || word::ask(&node.host))).collect();
    let names = std::env::var(ETCD).unwrap_or_default();
    let etcd = names.split(',').filter(|name| !name.is_empty()).map(str::to_owned);
    let etcd: Vec<_> = etcd.map(|name| std::thread::spawn(move || (word::is_well(&name), name))).collect();
    let words: Vec<_> = asked
        .into_iter()
        .map(|thread| thread.join().unwrap_or_else(|_| Err("the doctor itself failed while it asked".to_owned())))
        .collect();
    let etcd: Vec<_> = etcd.into_iter().filter_map(|thread| thread.join().ok()).collect();
    let names: Vec<_> = demo.targets().iter().map(crate::target::Target::name).collect();
    let unanswered = [codes::SERVER_DOWN, codes::CONNECTION_REFUSED];
    for (node, name) in demo.layout.nodes.iter().zip(&names) {
        // The volumes are seen from here, also that of a server which does not answer.
        findings.extend(disk::look_at(name, &node.data));
        let mut down = findings
            .iter_mut()
            .filter(|finding| finding.server == *name && unanswered.contains(&finding.code.as_str()));
        if let Some(down) = down.next().filter(|_| !node.is_attended(&demo.layout.owner)) {
            let evidence = format!("its container does not run: {}", down.evidence);
            *down = Finding::new(codes::SERVER_DOWN, Severity::Broken, name, evidence, "");
        }
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let told: Vec<_> = names.iter().map(String::as_str).zip(&words).collect();
    let answers = |name: &str| servers.iter().any(|server| server.name == name && server.state != NO_ANSWER);
    let mut findings = judged(findings, &told, now, &answers);
    findings.extend(away(&etcd));
    Report::new(servers, findings)
}

/// Pure: what was found, and what Patroni said of each server, or why it said nothing; findings out.
fn judged(
    mut findings: Vec<Finding>,
    told: &[(&str, &Result<Word, String>)],
    now: u64,
    answers: &dyn Fn(&str) -> bool,
) -> Vec<Finding> {
    // Who is the primary was read from the data a moment before the servers were asked.
    findings.retain(|finding| finding.code != codes::ROLES_SWAPPED);
    let first_answers = |(name, word): &(&str, &Result<Word, String>)| name.contains(FIRST) && word.is_ok();
    let patronictl = if told.iter().any(first_answers) { PATRONICTL } else { OTHER_PATRONICTL };
    for finding in &mut findings {
        if let Some(next) = next_of(&finding.code, patronictl) {
            next.clone_into(&mut finding.next_command);
        }
    }
    let words = || told.iter().filter_map(|(name, word)| Some((*name, word.as_ref().ok()?)));
    if let Some((name, _)) = words().find(|(_, word)| word.pause) {
        findings.push(Finding::new(
            codes::PATRONI_PAUSED,
            Severity::Degraded,
            name,
            "the cluster is paused: Patroni promotes nobody if the leader fails, and restarts no server that ends",
            format!("{patronictl} resume operations"),
        ));
    }
    let age = |word: &Word| now.saturating_sub(word.dcs_last_seen);
    for (name, word) in words().filter(|(_, word)| age(word) > SEEN) {
        let since = match word.dcs_last_seen {
            0 => "since it was started".to_owned(),
            _ => format!("for {} s", age(word)),
        };
        findings.push(Finding::new(
            codes::ETCD_UNREACHABLE,
            Severity::Broken,
            name,
            format!("its Patroni has reached no majority of etcd {since}: it takes no writes, and cannot be promoted"),
            START_ETCD,
        ));
    }
    for (name, word) in told {
        let Err(why) = word else { continue };
        // Of a server that does not answer that is said.
        if !answers(name) {
            continue;
        }
        findings.push(Finding::new(
            codes::PATRONI_SILENT,
            Severity::Degraded,
            name,
            format!("its server answers, and its Patroni does not ({why}): nobody watches the server"),
            "docker compose ps # docker compose restart on its service, if it stays so",
        ));
    }
    let leaderless = words().any(|(_, word)| word.cluster_unlocked);
    let nobody = findings.iter_mut().filter(|finding| finding.code == codes::NO_WRITABLE_SERVER);
    for finding in nobody {
        let states: Vec<_> = told.iter().map(|(name, word)| format!("{name}: {}", state(word))).collect();
        let key = if leaderless { "nobody holds the leader's key" } else { "the leader's key is held" };
        finding.evidence = format!("{}; {key}; {}", finding.evidence, states.join("; "));
    }
    findings
}

/// What it means that some of the etcd are not well.
fn away(etcd: &[(bool, String)]) -> Option<Finding> {
    let (well, away): (Vec<_>, Vec<_>) = etcd.iter().partition(|(is_well, _)| *is_well);
    let names: Vec<_> = away.iter().map(|(_, name)| name.as_str()).collect();
    let (last, all) = (names.last()?, etcd.len());
    let (severity, why) = match well.len() * 2 > all {
        true => (Severity::Degraded, "the others are a majority, so the leader stays"),
        false => (Severity::Broken, "there is no majority, so nobody may lead, and nobody takes writes"),
    };
    let evidence = format!("{} of {all} etcd are not well ({}): {why}", names.len(), names.join(", "));
    Some(Finding::new(codes::ETCD_UNREACHABLE, severity, last, evidence, START_ETCD))
}

fn state(word: &Result<Word, String>) -> &str {
    match word {
        Ok(word) => &word.state,
        Err(_) => "its Patroni does not answer",
    }
}

/// What is typed instead of what would work against Patroni.
fn next_of(code: &str, patronictl: &str) -> Option<String> {
    let text = match code {
        codes::NO_WRITABLE_SERVER | codes::TWO_WRITABLE_SERVERS => format!(
            "{patronictl} list operations # Patroni promotes one, and ends others, within 30 s; if not, docker compose logs says what \
             keeps it, and docker compose restart on its service ends one that it does not reach"
        ),
        codes::WRITES_WAIT => format!("{patronictl} edit-config --set synchronous_mode_strict=false operations"),
        codes::TIMELINE_DIFFERS | "slot_lost" => {
            format!("{patronictl} reinit operations # names the members, and asks which; it is cloned anew")
        }
        codes::SERVER_DOWN | codes::SERVER_SILENT | codes::CONNECTION_REFUSED => {
            "docker compose up --detach --wait # if that does not help: docker compose logs; docker network inspect"
                .to_owned()
        }
        _ => return None,
    };
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEADER: &str = "primary postgres_primary:5432";
    const OTHER: &str = "replica postgres_replica_1:5432";

    fn seen(at: u64) -> Result<Word, String> {
        Ok(Word { dcs_last_seen: at, state: "running".to_owned(), ..Word::default() })
    }

    fn codes_of(findings: &[Finding]) -> Vec<&str> {
        findings.iter().map(|finding| finding.code.as_str()).collect()
    }

    #[test]
    fn a_cluster_that_is_well_is_found_so() {
        assert!(judged(Vec::new(), &[(LEADER, &seen(100)), (OTHER, &seen(96))], 101, &|_| true).is_empty());
    }

    #[test]
    fn what_is_typed_is_for_a_server_that_answers() {
        let paused = Ok(Word { pause: true, dcs_last_seen: 100, ..Word::default() });
        let silent = Err("connection refused".to_owned());
        for (first, wanted) in
            [(&paused, "exec postgres_primary patronictl"), (&silent, "exec postgres_replica patronictl")]
        {
            let found = judged(Vec::new(), &[(LEADER, first), (OTHER, &paused)], 101, &|name| name != LEADER);
            assert!(found.iter().any(|finding| finding.next_command.contains(wanted)), "{found:?}");
        }
    }

    #[test]
    fn a_pause_is_told_once() {
        let paused = Ok(Word { pause: true, dcs_last_seen: 100, ..Word::default() });
        let found = judged(Vec::new(), &[(LEADER, &paused), (OTHER, &paused)], 101, &|_| true);
        assert_eq!(codes_of(&found), [codes::PATRONI_PAUSED]);
    }

    #[test]
    fn etcd_out_of_reach_is_told_of_each_server() {
        let nobody = Finding::new(
            codes::NO_WRITABLE_SERVER,
            Severity::Broken,
            LEADER,
            "nobody takes writes",
            "select pg_promote();",
        );
        let found = judged(vec![nobody], &[(LEADER, &seen(0)), (OTHER, &seen(100))], 130, &|_| true);
        assert_eq!(codes_of(&found), [codes::NO_WRITABLE_SERVER, codes::ETCD_UNREACHABLE, codes::ETCD_UNREACHABLE]);
        assert!(found.iter().all(|finding| !finding.next_command.contains("pg_promote")), "{found:?}");
    }

    #[test]
    fn etcd_that_are_away_are_counted() {
        let found = |well: [bool; 3]| {
            let etcd: Vec<_> =
                well.into_iter().zip(1..).map(|(well, number)| (well, format!("etcd{number}"))).collect();
            away(&etcd).map(|finding| (finding.severity, finding.evidence))
        };
        assert_eq!(found([true; 3]), None);
        let (severity, evidence) = found([true, false, true]).unwrap_or((Severity::Info, String::new()));
        assert!(
            severity == Severity::Degraded && evidence.starts_with("1 of 3 etcd are not well (etcd2)"),
            "{evidence}"
        );
        assert_eq!(found([false, true, false]).map(|(severity, _)| severity), Some(Severity::Broken));
    }

    #[test]
    fn a_patroni_that_is_silent_is_told_where_its_server_answers() {
        let silent = Err("connection refused".to_owned());
        let found = judged(Vec::new(), &[(LEADER, &seen(100)), (OTHER, &silent)], 101, &|_| true);
        assert_eq!(codes_of(&found), [codes::PATRONI_SILENT]);
        let down = Finding::new(codes::SERVER_DOWN, Severity::Broken, OTHER, "refused", "make demo");
        let found = judged(vec![down], &[(LEADER, &seen(100)), (OTHER, &silent)], 101, &|name| name == LEADER);
        assert_eq!(codes_of(&found), [codes::SERVER_DOWN]);
    }
}
