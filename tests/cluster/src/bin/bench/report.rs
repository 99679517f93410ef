//! The table that is printed, and the facts of the machine above it.

use std::fmt;

use operations_cluster::{Error, Server, text};

use crate::numbers::median;
use crate::options::Options;

/// All that is printed at the end.
pub struct Report {
    facts: Vec<String>,
    rows: Vec<[String; 7]>,
}

const HEAD: [&str; 7] = ["what", "unit", "ours", "reference", "ratio", "rounds", "aim"];

impl Report {
    /// Begins with the facts of the machine and of the run.
    pub fn new(server: &Server, options: &Options) -> Result<Self, Error> {
        let mut session = server.session()?;
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let version = text(&mut session, "SELECT current_setting('server_version')")?;
        let settings = text(
            &mut session,
            "SELECT string_agg(format('%s = %s', name, current_setting(name)), ', ' ORDER BY name) FROM pg_settings \
             WHERE name IN ('fsync', 'synchronous_commit', 'shared_buffers', 'effective_cache_size', 'maintenance_work_mem', \
                            'maintenance_io_concurrency', 'max_wal_size', 'wal_compression')",
        )?;
        let mut facts = vec![
            format!("PostgreSQL {version} on {cores} cores; {settings}"),
            format!(
                "{} rounds, the ways of a line in turns; medians, the ratio of the two, and the lowest and the highest ratio of a round",
                options.rounds
            ),
        ];
        if options.quick {
            facts.push("--quick: shows that it runs; the figures mean nothing".to_owned());
        }
        Ok(Self { facts, rows: Vec::new() })
    }

    /// Says why a part was not measured.
    pub fn skipped(&mut self, part: &str, why: &str) {
        eprintln!("{part}: skipped: {why}");
        self.facts.push(format!("{part}: skipped: {why}"));
    }

    /// Adds a line: the medians of what was measured in turns, each shown as `show` says.
    pub fn line(
        &mut self,
        what: &str,
        unit: &str,
        (ours, reference): (&[f64], &[f64]),
        aim: &str,
        show: fn(f64) -> String,
    ) {
        let mut rounds: Vec<_> = ours.iter().zip(reference).map(|(ours, reference)| ours / reference).collect();
        rounds.sort_by(f64::total_cmp);
        let rounds = match (rounds.first(), rounds.last()) {
            (Some(lowest), Some(highest)) => format!("{lowest:.3} .. {highest:.3}"),
            _ => String::new(),
        };
        let (ours, reference) = (show(median(ours)), show(median(reference)));
        // Of the figures as they are shown, so that whoever divides them gets this.
        let ratio = match (shown(&ours), shown(&reference)) {
            (Some(ours), Some(reference)) if reference > 0.0 => format!("{:.3}", ours / reference),
            _ => "-".to_owned(),
        };
        // Progress for the one who waits; the table comes at the end.
        eprintln!("{what}: {ours} {unit}, reference {reference}, ratio {ratio} ({rounds})");
        self.rows.push([what, unit, &ours, &reference, &ratio, &rounds, aim].map(str::to_owned));
    }
}

/// The number that a text shows.
fn shown(text: &str) -> Option<f64> {
    text.replace(' ', "").parse().ok()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for fact in &self.facts {
            writeln!(f, "{fact}")?;
        }
        let head = HEAD.map(str::to_owned);
        let lines: Vec<_> = std::iter::once(&head).chain(&self.rows).collect();
        let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<_> = (0..HEAD.len()).map(width).collect();
        for line in lines {
            // Texts to the left, numbers to the right.
            writeln!(
                f,
                "{:<w0$}  {:<w1$}  {:>w2$}  {:>w3$}  {:>w4$}  {:>w5$}  {}",
                line[0],
                line[1],
                line[2],
                line[3],
                line[4],
                line[5],
                line[6],
                w0 = widths[0],
                w1 = widths[1],
                w2 = widths[2],
                w3 = widths[3],
                w4 = widths[4],
                w5 = widths[5],
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::shown;
    use crate::numbers::grouped;

    #[test]
    fn a_ratio_is_that_of_the_figures_shown() {
        assert_eq!(shown(&grouped(1_234_567.4)), Some(1_234_567.0));
        assert_eq!(shown("0.3"), Some(0.3));
    }
}
