//! The table that is printed, and the facts of the machine above it.

use std::fmt;

use operations_cluster::{Error, Server, text};

use crate::numbers::median;
use crate::options::Options;

/// All that is printed at the end.
pub struct Report {
    facts: Vec<String>,
    rows: Vec<[String; 6]>,
}

const HEAD: [&str; 6] = ["what", "unit", "ours", "reference", "ratio", "aim"];

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
                "{} rounds, the ways of a line in turns; medians, and of the rounds' ratios of ours to the reference the median",
                options.rounds
            ),
        ];
        if options.quick {
            facts.push("--quick: shows that it runs; the figures mean nothing".to_owned());
        }
        Ok(Self { facts, rows: Vec::new() })
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
        // Round by round, so that what else the machine does in one round weighs on both of its ways.
        let ratios: Vec<_> = ours.iter().zip(reference).map(|(ours, reference)| ours / reference).collect();
        let ratio = format!("{:.2}", median(&ratios));
        let (ours, reference) = (median(ours), median(reference));
        // Progress for the one who waits; the table comes at the end.
        eprintln!("{what}: {} {unit}, reference {}, ratio {ratio}", show(ours), show(reference));
        self.rows.push([what, unit, &show(ours), &show(reference), &ratio, aim].map(str::to_owned));
    }
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
                "{:<w0$}  {:<w1$}  {:>w2$}  {:>w3$}  {:>w4$}  {}",
                line[0],
                line[1],
                line[2],
                line[3],
                line[4],
                line[5],
                w0 = widths[0],
                w1 = widths[1],
                w2 = widths[2],
                w3 = widths[3],
                w4 = widths[4],
            )?;
        }
        Ok(())
    }
}
