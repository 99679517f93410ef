//! What people and programs read.

use std::fmt::Write as _;

use serde::Serialize;

use super::finding::{Finding, Verdict, say_where};

/// A server that was to be asked.
#[derive(Clone, Debug, Serialize)]
pub struct ServerLine {
    /// As findings name it.
    pub name: String,
    /// `primary`, `replica` (what it is now), or `no answer`.
    pub state: String,
    /// Its version, if it answered.
    pub version: Option<String>,
    /// Its timeline, if it answered.
    pub timeline: Option<u32>,
    /// Where it writes or replays, if it answered.
    pub position: Option<String>,
    /// Of a replica: whom it follows, as findings name that server, if that is one of those that were to be asked.
    pub follows: Option<String>,
    /// Of a replica: the slot that keeps WAL for it there, if its receiver runs.
    pub slot: Option<String>,
}

/// All that an examination gives.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What it comes to.
    pub verdict: Verdict,
    /// Who was asked.
    pub servers: Vec<ServerLine>,
    /// What was found, the worst first.
    pub findings: Vec<Finding>,
}

/// The state of a server that did not answer.
pub const NO_ANSWER: &str = "no answer";

/// Terminals are at least so wide; readers are glad if a line is not wider.
const WIDTH: usize = 100;

impl Report {
    /// Puts the findings in order and judges.
    #[must_use]
    pub fn new(servers: Vec<ServerLine>, mut findings: Vec<Finding>) -> Self {
        findings.sort_by(|a, b| (a.severity, &a.server, &a.code).cmp(&(b.severity, &b.server, &b.code)));
        let verdict = match Verdict::of(&findings) {
            // Whatever was found: what does not answer is never ok.
            Verdict::Ok if servers.iter().any(|server| server.state == NO_ANSWER) => Verdict::Unknown,
            verdict => verdict,
        };
        Self { verdict, servers, findings }
    }

    /// The same; a statement for a replica says where it is typed.
    #[must_use]
    pub(crate) fn with_places(mut self, place: &dyn Fn(&str) -> String) -> Self {
        for finding in self.findings.iter_mut().filter(|finding| finding.server.starts_with("replica ")) {
            finding.next_command = say_where(&finding.next_command, &place(&finding.server));
        }
        self
    }

    /// For people: the verdict in the first line, then three lines a finding.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("{}\n", self.headline());
        for server in &self.servers {
            let _ = write!(text, "    {:<30} {}", server.name, server.state);
            if let (Some(version), Some(timeline), Some(position)) =
                (&server.version, server.timeline, &server.position)
            {
                let _ = write!(text, ", PostgreSQL {version}, timeline {timeline}, at {position}");
            }
            text.push('\n');
        }
        for finding in &self.findings {
            let _ = write!(text, "\n{:<9} {}   {}\n", finding.severity.word(), finding.code, finding.server);
            wrap(&mut text, "          ", &finding.evidence);
            wrap(&mut text, "        > ", &finding.next_command);
        }
        printable(&text)
    }

    /// The verdict and what it rests on, in one line.
    #[must_use]
    pub fn headline(&self) -> String {
        let asked = match self.servers.len() {
            1 => "1 server".to_owned(),
            more => format!("{more} servers"),
        };
        let mut counts: Vec<(&str, usize)> = Vec::new();
        for finding in self.findings.iter().filter(|finding| finding.severity != super::Severity::Info) {
            match counts.iter_mut().find(|(code, _)| *code == finding.code) {
                Some((_, count)) => *count += 1,
                None => counts.push((&finding.code, 1)),
            }
        }
        let codes: Vec<_> = counts
            .into_iter()
            .map(|(code, count)| if count == 1 { code.to_owned() } else { format!("{code} ({count})") })
            .collect();
        match codes.is_empty() {
            true if self.verdict != Verdict::Ok => format!("{}: not all of {asked} answered", self.verdict.word()),
            true => format!("{}: {asked} asked, nothing wrong", self.verdict.word()),
            false => format!("{}: {}", self.verdict.word(), codes.join(", ")),
        }
    }
}

/// Breaks at blanks; what has none is left whole, so that it can be copied.
fn wrap(text: &mut String, indent: &str, words: &str) {
    let mut line = indent.to_owned();
    let blank = " ".repeat(indent.len());
    for word in words.split_whitespace() {
        let is_empty = line.len() == indent.len();
        if !is_empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
            let _ = writeln!(text, "{line}");
            line.clone_from(&blank);
        } else if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
    }
    let _ = writeln!(text, "{}", line.trim_end());
}

/// Names of tables and of prepared transactions are anybody's to choose: what a terminal would obey is shown, and not sent.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Severity;
    use super::*;

    #[test]
    fn what_does_not_answer_is_never_ok() {
        let server = |state: &str| ServerLine {
            name: "s".to_owned(),
            state: state.to_owned(),
            version: None,
            timeline: None,
            position: None,
            follows: None,
            slot: None,
        };
        assert_eq!(Report::new(vec![server("takes writes")], Vec::new()).verdict, Verdict::Ok);
        let report = Report::new(vec![server("takes writes"), server(NO_ANSWER)], Vec::new());
        assert_eq!(report.verdict, Verdict::Unknown);
        assert_eq!(report.headline(), "unknown: not all of 2 servers answered");
    }

    #[test]
    fn names_each_code_once() {
        let finding = |code: &str, severity, server: &str| Finding::new(code, severity, server, "", "");
        let findings = vec![
            finding("job_missing", Severity::Degraded, "b"),
            finding("job_missing", Severity::Broken, "a"),
            finding("server_down", Severity::Broken, "c"),
            finding("quiet", Severity::Info, "c"),
        ];
        assert_eq!(Report::new(Vec::new(), findings).headline(), "broken: job_missing (2), server_down");
    }

    #[test]
    fn sends_a_terminal_nothing_to_obey() {
        let name = "a\u{1b}]0;title\u{7}b\u{9b}2Jc\rd\ne";
        let text = Report::new(Vec::new(), vec![Finding::new("x", Severity::Degraded, "s", name, name)]).text();
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
        assert!(text.contains("title"), "{text:?}");
    }

    #[test]
    fn is_readable_at_100_columns() {
        let long = "word ".repeat(60);
        let findings = vec![
            Finding::new("quiet", Severity::Info, "replica here:1", "x", "y"),
            Finding::new("loud", Severity::Broken, "primary here:2", &long, &long),
        ];
        let report = Report::new(Vec::new(), findings);
        let text = report.text();
        assert!(text.starts_with("broken: loud\n"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH && line == line.trim_end()), "{text}");
        assert_eq!(text.split_whitespace().filter(|word| *word == "word").count(), 120);
        assert!(
            text.find("loud   primary").is_some_and(|loud| text.find("quiet").is_some_and(|quiet| loud < quiet)),
            "{text}"
        );
    }
}
