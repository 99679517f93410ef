//! One verdict about a primary and its replicas: each tells what it knows by itself, both ends are compared, and replay must
//! advance. What does not answer is never ok.

pub mod codes;
mod compare;
pub(crate) mod disk;
mod facts;
mod finding;
mod replay;
mod report;

use std::time::Duration;

use postgres::Client;

pub(crate) use facts::{history, parse_history};
use finding::ON_THE_REPLICA;
pub use finding::{Finding, Severity, Verdict, can_be_typed};
pub use report::{NO_ANSWER, Report, ServerLine};

use crate::connect::{Refusal, session, within};
use crate::role::Role;
use crate::target::Target;
use compare::{Answered, compare, followed};
use facts::{Facts, own_findings};

/// Which sums are compared with the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sums {
    /// All of them: every row is read.
    All,
    /// Those of one small month, another each time.
    Sample,
    /// None, for who looks again and again: a look then costs a server a third. Whoever may not call the parts of `operations_doctor()` by
    /// themselves gets a sample.
    Skip,
}

/// How to examine.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Which sums are compared.
    pub sums: Sums,
    /// How long a connection, and each statement of it, may take.
    pub limit: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { sums: Sums::Sample, limit: Duration::from_secs(3) }
    }
}

/// Findings that are gone a moment later were none: a job was about to run, a receiver to reconnect. They are looked for again
/// after so long, and reported if they are still there.
fn may_pass(code: &str) -> Option<Duration> {
    match code {
        // The jobs bring it up to date every 3 seconds.
        "view_stale" => Some(Duration::from_secs(5)),
        // wal_retrieve_retry_interval is a second.
        "receiver_missing"
        | "no_replica"
        | "slot_inactive"
        | codes::UPSTREAM_GONE
        | codes::FOLLOWS_ANOTHER
        | codes::WRITES_WAIT => Some(Duration::from_millis(2500)),
        "citus_node_away" | "connections_nearly_full" | "scheduler_missing" | "job_overlaps" => {
            Some(Duration::from_secs(1))
        }
        _ => None,
    }
}

/// Whether a finding of the second look is what the first has found. Where sums change all the time, some are always behind; of a
/// view that is brought up to date they are others each time, or hold another amount.
fn is_still(first: &Finding, second: &Finding) -> bool {
    let held = |finding: &Finding| {
        let example = finding.evidence.split_once(" such as ")?.1;
        example.split_once(" in client_type_sum_mv").map(|(held, _)| held.to_owned())
    };
    first.is_same(second) && (first.code != "view_stale" || held(first) == held(second))
}

/// Asks all servers at once and judges.
#[must_use]
pub fn examine(targets: &[Target], options: &Options) -> Report {
    examine_known(targets, options, &|_| None)
}

/// The same by who knows why some of them do not answer: these are not asked.
#[must_use]
pub fn examine_known(targets: &[Target], options: &Options, known: &dyn Fn(&Target) -> Option<Refusal>) -> Report {
    let (servers, findings) = look(targets, *options, known);
    let Some(pause) = findings.iter().filter_map(|finding| may_pass(&finding.code)).max() else {
        return Report::new(servers, findings).with_places(&|_| ON_THE_REPLICA.to_owned());
    };
    std::thread::sleep(pause);
    let sums = if options.sums == Sums::All { Sums::Sample } else { options.sums };
    let (servers, mut again) = look(targets, Options { sums, ..*options }, known);
    let in_first = |finding: &Finding| findings.iter().any(|first| is_still(first, finding));
    again.retain(|finding| may_pass(&finding.code).is_none() || in_first(finding));
    // What does not pass by itself counts though one look alone saw it.
    let lasting = findings.iter().filter(|finding| may_pass(&finding.code).is_none());
    let lasting: Vec<_> =
        lasting.filter(|first| !again.iter().any(|finding| finding.is_same(first))).cloned().collect();
    again.extend(lasting);
    Report::new(servers, again).with_places(&|_| ON_THE_REPLICA.to_owned())
}

/// One server's answer.
struct Answer {
    target: Target,
    facts: Option<(Facts, Client)>,
    findings: Vec<Finding>,
}

impl Answer {
    fn refused(target: Target, refusal: &Refusal) -> Self {
        Self { findings: vec![refused(refusal, &target, "")], facts: None, target }
    }

    /// The thread that asked has died, which is our fault and says nothing good of the server.
    fn failed(target: Target) -> Self {
        let finding = Finding::new(
            codes::QUESTION_FAILED,
            Severity::Unknown,
            &target.name(),
            "the doctor itself failed while it asked this server",
            "operations-lab doctor # again; what it prints on standard error is for a bug report",
        );
        Self { target, facts: None, findings: vec![finding] }
    }
}

fn look(
    targets: &[Target],
    options: Options,
    known: &dyn Fn(&Target) -> Option<Refusal>,
) -> (Vec<ServerLine>, Vec<Finding>) {
    let waiting: Vec<_> = targets
        .iter()
        .map(|target| {
            let (target, refusal) = (target.clone(), known(target));
            std::thread::spawn(move || match refusal {
                Some(refusal) => Answer::refused(target, &refusal),
                None => ask(target, options),
            })
        })
        .collect();
    let mut answers: Vec<_> = waiting
        .into_iter()
        .zip(targets)
        .map(|(thread, target)| thread.join().unwrap_or_else(|_| Answer::failed(target.clone())))
        .collect();
    let names: Vec<_> = answers.iter().map(|answer| answer.target.name()).collect();
    let everybody = answers.iter().all(|answer| answer.facts.is_some());
    let answered: Vec<_> = answers
        .iter()
        .zip(&names)
        .filter_map(|(answer, name)| {
            answer.facts.as_ref().map(|(facts, _)| Answered { name, role: answer.target.role, facts })
        })
        .collect();
    let mut findings = compare(&answered, everybody);
    let all: Vec<_> = names.iter().map(String::as_str).collect();
    let led: Vec<_> = followed(&answered, &all).into_iter().map(|(one, by)| (one.to_owned(), by.to_owned())).collect();
    let written =
        answered.iter().filter(|server| !server.facts.in_recovery).filter_map(|server| server.facts.position).max();
    let lines = answers.iter().zip(&names).map(|(answer, name)| line(answer, name, &led)).collect();
    let gone: Vec<_> = led.iter().filter_map(|(one, by)| upstream_gone(&answers, one, by)).collect();
    // Who follows a replica that receives nothing gets nothing either, and that one is what is to be mended.
    let dry = |answer: &Answer| {
        let findings = &answer.findings;
        findings.iter().any(|finding| ["receiver_missing", "receiver_silent"].contains(&finding.code.as_str()))
    };
    let dry: Vec<_> = answers.iter().zip(&names).filter(|(answer, _)| dry(answer)).map(|(_, name)| name).collect();
    let mut behind_dry: Vec<_> = led.into_iter().filter(|(_, by)| dry.contains(&by)).map(|(one, _)| one).collect();
    behind_dry.extend(gone.iter().map(|finding| finding.server.clone()));
    let watched: Vec<_> = answers
        .iter_mut()
        .filter_map(|answer| {
            // Those of a server that did not answer stay where they are.
            let (facts, client) = answer.facts.take()?;
            let findings = std::mem::take(&mut answer.findings);
            let server = answer.target.clone();
            let known = behind_dry.contains(&server.name())
                || findings.iter().any(|finding| STOPS_REPLAY.contains(&finding.code.as_str()));
            let written = written.filter(|_| facts.in_recovery && !known);
            Some((
                findings,
                std::thread::spawn(move || written.and_then(|written| watch(client, &server, written, options.limit))),
            ))
        })
        .collect();
    findings.extend(answers.into_iter().flat_map(|answer| answer.findings));
    for (own, thread) in watched {
        let replay = thread.join().ok().flatten();
        // One server may have named the same cause already.
        findings.extend(replay.filter(|replay| !own.iter().any(|finding| finding.is_same(replay))));
        findings.extend(own);
    }
    // What comes of that is not told beside it.
    findings.retain(|finding| {
        let is_of_one = gone.iter().any(|gone| gone.server == finding.server);
        !(is_of_one && ["receiver_missing", "replica_behind"].contains(&finding.code.as_str()))
    });
    findings.extend(gone);
    // A clock that is ahead makes what is replayed look old; whether replay advances was seen.
    let skewed: Vec<_> = findings
        .iter()
        .filter(|finding| finding.code == codes::CLOCK_SKEW)
        .map(|finding| finding.server.clone())
        .collect();
    findings.retain(|finding| finding.code != "replica_behind" || !skewed.contains(&finding.server));
    (lines, findings)
}

/// A replica that receives nothing, because the replica that it follows does not answer: that one is to be started.
fn upstream_gone(answers: &[Answer], one: &str, by: &str) -> Option<Finding> {
    let replica = answers.iter().find(|answer| answer.target.name() == one)?;
    let upstream = answers.iter().find(|answer| answer.target.name() == by)?;
    let (facts, _) = replica.facts.as_ref()?;
    let streams = facts.receiver.as_ref().is_some_and(|receiver| receiver.status == "streaming");
    (upstream.facts.is_none() && upstream.target.role == Role::Replica && !streams).then(|| {
        Finding::new(
            codes::UPSTREAM_GONE,
            Severity::Broken,
            one,
            format!("it follows {by}, which does not answer, and receives nothing"),
            &upstream.target.start,
        )
    })
}

/// Where one of these is found, it is no news that replay does not advance.
const STOPS_REPLAY: [&str; 3] = ["receiver_missing", "receiver_silent", "replay_paused"];

fn watch(mut client: Client, server: &Target, written: crate::lsn::Lsn, limit: Duration) -> Option<Finding> {
    let name = server.name();
    let limit = limit + Duration::from_secs(6);
    match within(limit, move || replay::watch(&mut client, &name, written)) {
        Some(Ok(finding)) => finding,
        Some(Err(error)) => Some(refused(&Refusal::of(&error), server, "while its replay was watched, ")),
        None => Some(refused(&Refusal::Silent(format!("no answer within {} s", limit.as_secs())), server, "")),
    }
}

fn ask(target: Target, options: Options) -> Answer {
    let name = target.name();
    let statements = if options.sums == Sums::All { Duration::from_secs(3600) } else { options.limit };
    let mut client = match session(&target, options.limit, statements) {
        Ok(client) => client,
        Err(refusal) => return Answer::refused(target, &refusal),
    };
    // A server whose way is cut, or that is stopped, ends no statement by itself.
    let limit = statements + options.limit;
    let server = name.clone();
    let answer = within(limit, move || {
        let facts = Facts::ask(&mut client)?;
        let findings = own_findings(&mut client, &server, options.sums);
        Ok::<_, postgres::Error>((facts, client, findings))
    });
    match answer {
        Some(Ok((facts, client, own))) => {
            let mut findings = own.unwrap_or_else(|error| vec![question_failed(&error, &name)]);
            if target.is_local() {
                findings.extend(disk::look(&name, &facts));
            }
            Answer { target, facts: Some((facts, client)), findings }
        }
        Some(Err(error)) => {
            let refusal = Refusal::of(&error);
            let finding = match (&refusal, error.as_db_error()) {
                (Refusal::Files(_), _) | (_, None) => refused(&refusal, &target, "while it was asked, "),
                (_, Some(_)) => question_failed(&error, &name),
            };
            Answer { target, facts: None, findings: vec![finding] }
        }
        None => {
            let silent = Refusal::Silent(format!("it let us in, and then no answer within {} s", limit.as_secs()));
            Answer { findings: vec![refused(&silent, &target, "")], facts: None, target }
        }
    }
}

fn line(answer: &Answer, name: &str, led: &[(String, String)]) -> ServerLine {
    let facts = answer.facts.as_ref().map(|(facts, _)| facts);
    let state = match facts {
        Some(facts) if facts.in_recovery => "in recovery",
        Some(_) => "takes writes",
        None => report::NO_ANSWER,
    };
    ServerLine {
        name: name.to_owned(),
        state: state.to_owned(),
        version: facts.map(|facts| facts.version.clone()),
        timeline: facts.map(|facts| facts.timeline),
        position: facts.and_then(|facts| facts.position).map(|position| position.to_string()),
        follows: led.iter().find(|(one, _)| one == name).map(|(_, by)| by.clone()),
        slot: facts.and_then(|facts| facts.receiver.as_ref()?.slot.clone()),
    }
}

fn question_failed(error: &postgres::Error, server: &str) -> Finding {
    let (text, code) = match error.as_db_error() {
        Some(error) => (error.message().to_owned(), error.code().code().to_owned()),
        None => (crate::target::full_text(error), "none".to_owned()),
    };
    Finding::new(
        codes::QUESTION_FAILED,
        Severity::Unknown,
        server,
        format!("it answers, but the doctor's question failed: {text} (SQLSTATE {code})"),
        "select * from operations_doctor();",
    )
}

/// Down, silent, locked out and full are different things, and each is said by its name.
fn refused(refusal: &Refusal, server: &Target, when: &str) -> Finding {
    use Severity::{Broken, Unknown};
    let (code, severity, text, next) = match refusal {
        Refusal::Down(text) => (codes::SERVER_DOWN, Broken, text, server.start.as_str()),
        Refusal::Silent(text) => (
            codes::SERVER_SILENT,
            Broken,
            text,
            "ps -eo pid,stat,wchan:20,args | grep '[p]ostgres' # T is stopped (kill -CONT), D hangs in a disk; else see the network",
        ),
        Refusal::NotReady(text) => (
            codes::SERVER_NOT_READY,
            Broken,
            text,
            "operations-lab doctor # again, in a moment; its log says how far it is",
        ),
        Refusal::Password(text) => (
            codes::PASSWORD_REFUSED,
            Unknown,
            text,
            "export PGPASSFILE=.. # a file with a line for this server; or set PGPASSWORD",
        ),
        Refusal::Hba(text) => (
            codes::HBA_REFUSED,
            Unknown,
            text,
            "select * from pg_hba_file_rules; -- as one who may come in: add a line to pg_hba.conf, then select pg_reload_conf();",
        ),
        Refusal::Full(text) => (
            codes::CONNECTIONS_FULL,
            Broken,
            text,
            "ps -eo pid,lstart,args | grep '[p]ostgres.* idle' # end some of them (kill PID), or raise max_connections",
        ),
        Refusal::Files(text) => (
            codes::FILES_MISSING,
            Broken,
            text,
            "pg_ctl stop --pgdata \"$PGDATA\" # then clone a replica anew, restore a primary; make demo mends the demo's replica",
        ),
        Refusal::Other(text) => {
            (codes::CONNECTION_REFUSED, Unknown, text, "psql --list # names the databases; see --primary and --replica")
        }
    };
    Finding::new(code, severity, &server.name(), format!("{when}{text}"), next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_that_is_brought_up_to_date_is_not_stale_for_being_behind_at_each_look() {
        let stale = |evidence: &str| Finding::new("view_stale", Severity::Degraded, "primary", evidence, "");
        let sums = |held: &str| {
            format!(
                "2 sums of client_type_sum_mv are not up to date, such as client 7 online: {held} in client_type_sum_mv, 9.00 in client_type_sum_live"
            )
        };
        assert!(is_still(&stale(&sums("5.00")), &stale(&sums("5.00"))));
        assert!(!is_still(&stale(&sums("5.00")), &stale(&sums("6.00"))));
        let never = "client_type_sum_mv was never filled";
        assert!(is_still(&stale(never), &stale(never)));
        let silent = |evidence: &str| Finding::new("receiver_missing", Severity::Broken, "replica", evidence, "");
        assert!(is_still(&silent("for 3 s"), &silent("for 6 s")));
    }
}
