//! What a load comes to, for people.

use std::time::Duration;

use super::pgbench::Done;
use super::watch::{Lag, Look};
use crate::doctor::Verdict;
use crate::lsn::bytes;

/// What was done in all.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Transactions that were committed.
    pub processed: u64,
    /// Transactions that failed for good.
    pub failed: u64,
    /// How many pgbenches did not come to their end.
    pub aborted: u64,
    /// Transactions that were asked for.
    pub wanted: f64,
    /// How long it took.
    pub took: Duration,
}

impl Totals {
    /// Whether a statement failed.
    #[must_use]
    pub fn has_failures(&self) -> bool {
        self.failed > 0 || self.aborted > 0
    }

    /// In one line.
    #[must_use]
    pub fn line(&self) -> String {
        let seconds = self.took.as_secs_f64().max(0.001);
        let aborted = match self.aborted {
            0 => String::new(),
            1 => "; one pgbench was aborted: see above".to_owned(),
            more => format!("; {more} pgbenches were aborted: see above"),
        };
        let a_second = |count: f64| format!("{:.1}", count / seconds);
        #[expect(clippy::cast_precision_loss, reason = "a rate needs no more than 15 digits")]
        let processed = self.processed as f64;
        format!(
            "Load of {seconds:.0} s: {} transactions, {} a second of the {} that were asked for, {} failed{aborted}",
            self.processed,
            a_second(processed),
            a_second(self.wanted),
            self.failed
        )
    }
}

/// What each pgbench has done, in one line a server.
pub fn table(done: &[(String, Done)], seconds: u32) -> String {
    let width = done.iter().map(|(server, _)| server.len()).max().unwrap_or(0);
    let mut text = format!("{:<width$}  transactions  a second     latency  failed", "server");
    for (server, done) in done {
        #[expect(clippy::cast_precision_loss, reason = "a rate needs no more than 15 digits")]
        let rate = done.processed as f64 / f64::from(seconds.max(1));
        let latency = done.latency.map_or_else(|| "-".to_owned(), |latency| format!("{latency:.1} ms"));
        let aborted = if done.aborted { "  aborted" } else { "" };
        text += &format!(
            "\n{server:<width$}  {:>12}  {rate:>8.1}  {latency:>10}  {:>6}{aborted}",
            done.processed, done.failed
        );
    }
    text
}

/// The same before, while and after a load.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// Before.
    pub before: Look,
    /// While.
    pub during: Vec<Look>,
    /// Afterwards.
    pub after: Look,
    /// How long it took until all was as well as before, or was given up.
    pub settled: Duration,
}

/// How bad a verdict is.
fn rank(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Ok => 0,
        Verdict::Degraded => 1,
        Verdict::Unknown => 2,
        Verdict::Broken => 3,
    }
}

impl Look {
    /// Whether this is worse than that.
    #[must_use]
    pub fn is_worse_than(&self, that: &Self) -> bool {
        rank(self.verdict) > rank(that.verdict)
    }

    fn lag_of(&self, replica: &str) -> Option<Lag> {
        self.lags.iter().find(|(name, _)| name == replica).and_then(|(_, lag)| *lag)
    }

    fn verdict_line(&self) -> String {
        match self.codes.is_empty() {
            true => self.verdict.word().to_owned(),
            false => format!("{}: {}", self.verdict.word(), self.codes.join(", ")),
        }
    }
}

impl Comparison {
    /// Whether the load has left it worse than it was.
    #[must_use]
    pub fn is_worse(&self) -> bool {
        self.after.is_worse_than(&self.before)
    }

    /// Three lines: before, while and after. Where there are several replicas, the lag of each has a line below them.
    #[must_use]
    pub fn text(&self) -> String {
        let row = |when: &str, lag: String, verdict: String| format!("{when:<9} lag {lag:<42} verdict {verdict}\n");
        let after = match self.settled.as_secs() {
            0 => self.after.verdict_line(),
            seconds => format!("{} ({seconds} s later)", self.after.verdict_line()),
        };
        let replicas = self.replicas();
        if let [] | [_] = replicas.as_slice() {
            let replica = replicas.first().map_or("", String::as_str);
            return row("before", lag_line(self.before.lag_of(replica)), self.before.verdict_line())
                + &row("meanwhile", self.lags(replica), self.verdicts())
                + &row("after", lag_line(self.after.lag_of(replica)), after);
        }
        let mut text = format!(
            "before    verdict {}\nmeanwhile verdict {}\nafter     verdict {after}\n",
            self.before.verdict_line(),
            self.verdicts()
        );
        for replica in &replicas {
            let (before, after) = (lag_line(self.before.lag_of(replica)), lag_line(self.after.lag_of(replica)));
            text += &format!("lag of {replica}: before {before}; meanwhile {}; after {after}\n", self.lags(replica));
        }
        text
    }

    /// All that were looked at, in their order.
    fn replicas(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for (name, _) in [&self.before, &self.after].into_iter().chain(&self.during).flat_map(|look| &look.lags) {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }

    /// The median and the most of what was seen.
    fn lags(&self, replica: &str) -> String {
        let lags: Vec<_> = self.during.iter().filter_map(|look| look.lag_of(replica)).collect();
        let mut sizes: Vec<_> = lags.iter().map(|lag| lag.bytes).collect();
        let mut times: Vec<_> = lags.iter().map(|lag| lag.until_replayed.unwrap_or(Duration::MAX)).collect();
        sizes.sort_unstable();
        times.sort_unstable();
        let middle = lags.len() / 2;
        match (sizes.get(middle), sizes.last(), times.get(middle), times.last()) {
            (Some(size), Some(most), Some(time), Some(longest)) => {
                format!("{}, {}; most {}, {}", bytes(*size), milliseconds(*time), bytes(*most), milliseconds(*longest))
            }
            _ => lag_line(None),
        }
    }

    /// Each verdict, and how often it was given.
    fn verdicts(&self) -> String {
        let mut counts: Vec<(String, usize)> = Vec::new();
        for line in self.during.iter().map(Look::verdict_line) {
            match counts.iter_mut().find(|(known, _)| *known == line) {
                Some((_, count)) => *count += 1,
                None => counts.push((line, 1)),
            }
        }
        let texts: Vec<_> = counts.iter().map(|(line, count)| format!("{count} x {line}")).collect();
        if texts.is_empty() { "not looked at".to_owned() } else { texts.join("; ") }
    }
}

/// A lag in one phrase.
pub fn lag_line(lag: Option<Lag>) -> String {
    match lag {
        Some(lag) => format!("{}, {}", bytes(lag.bytes), milliseconds(lag.until_replayed.unwrap_or(Duration::MAX))),
        None => "not seen".to_owned(),
    }
}

fn milliseconds(time: Duration) -> String {
    if time == Duration::MAX { "over 10 s".to_owned() } else { format!("{} ms", time.as_millis()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(verdict: Verdict, codes: &[&str], lag: Option<(u64, Option<u64>)>) -> Look {
        let codes = codes.iter().map(|code| (*code).to_owned()).collect();
        let lag = lag.map(|(bytes, time)| Lag { bytes, until_replayed: time.map(Duration::from_millis) });
        Look { verdict, codes, lags: vec![("replica a:1".to_owned(), lag)] }
    }

    #[test]
    fn before_while_and_after_are_set_side_by_side() {
        let well = |bytes, time| look(Verdict::Ok, &[], Some((bytes, Some(time))));
        let mut comparison = Comparison {
            before: well(0, 3),
            during: vec![well(100, 5), well(50_000, 90), look(Verdict::Degraded, &["replica_behind"], Some((9, None)))],
            after: well(40, 2),
            settled: Duration::from_millis(100),
        };
        let text = "\
before    lag 0 bytes, 3 ms                              verdict ok
meanwhile lag 100 bytes, 90 ms; most 48 kB, over 10 s    verdict 2 x ok; 1 x degraded: replica_behind
after     lag 40 bytes, 2 ms                             verdict ok
";
        assert_eq!(comparison.text(), text);
        assert!(!comparison.is_worse());
        comparison.after = look(Verdict::Unknown, &["hba_refused"], None);
        comparison.settled = Duration::from_secs(15);
        assert!(comparison.is_worse());
        assert!(comparison.text().ends_with("verdict unknown: hba_refused (15 s later)\n"));
    }

    #[test]
    fn each_server_has_a_line() {
        let one = Done { processed: 120, latency: Some(1.25), ..Done::default() };
        let other = Done { processed: 30, failed: 2, aborted: true, ..Done::default() };
        let done = [("primary".to_owned(), one), ("replica a:1".to_owned(), other)];
        let text = "\
server       transactions  a second     latency  failed
primary               120      12.0      1.2 ms       0
replica a:1            30       3.0           -       2  aborted";
        assert_eq!(table(&done, 10), text);
    }

    #[test]
    fn the_lag_of_each_replica_is_told() {
        let look = |lags: &[(&str, Option<u64>)]| {
            let lag = |time: u64| Lag { bytes: 0, until_replayed: Some(Duration::from_millis(time)) };
            let lags = lags.iter().map(|(name, time)| ((*name).to_owned(), time.map(lag))).collect();
            Look { verdict: Verdict::Ok, codes: Vec::new(), lags }
        };
        let comparison = Comparison {
            before: look(&[("replica a:1", Some(1)), ("replica a:2", Some(2))]),
            during: vec![look(&[("replica a:1", Some(3)), ("replica a:2", None)])],
            after: look(&[("replica a:1", Some(4)), ("replica a:2", Some(5))]),
            settled: Duration::ZERO,
        };
        let text = "\
before    verdict ok
meanwhile verdict 1 x ok
after     verdict ok
lag of replica a:1: before 0 bytes, 1 ms; meanwhile 0 bytes, 3 ms; most 0 bytes, 3 ms; after 0 bytes, 4 ms
lag of replica a:2: before 0 bytes, 2 ms; meanwhile not seen; after 0 bytes, 5 ms
";
        assert_eq!(comparison.text(), text);
    }

    #[test]
    fn what_was_not_done_is_said() {
        let totals = Totals { processed: 900, failed: 2, aborted: 1, wanted: 1000.0, took: Duration::from_secs(10) };
        assert!(totals.has_failures());
        assert_eq!(
            totals.line(),
            "Load of 10 s: 900 transactions, 90.0 a second of the 100.0 that were asked for, 2 failed; one pgbench was aborted: \
             see above"
        );
    }
}
