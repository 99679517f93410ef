//! The command line.

/// Shown when the command line is wrong, or asks for it.
pub const USAGE: &str = "\
usage: bench [--quick] [--rows-10m] [--rows-20m] [--rounds N] [--only PART]
  --quick     small sizes: shows that the benchmark runs; its figures mean nothing
  --rows-10m  also measures change_status at 10 million rows (several minutes, 6 GB of disk)
  --rows-20m  also loads 20 million rows at once (some minutes, 20 GB of disk)
  --rounds N  how often each way takes its turn (7)
  --only PART measures one part: load, insert, aggregate (what keeping it costs), change_status,
              replicas, or citus (where CITUS_PG_CONFIG names a PostgreSQL with Citus)";

/// The parts of the benchmark, in their order.
pub const PARTS: [&str; 6] = ["load", "insert", "aggregate", "change_status", "replicas", "citus"];

/// What to measure.
#[derive(Debug)]
pub struct Options {
    /// How often each way takes its turn.
    pub rounds: usize,
    /// Rows of one load.
    pub load_rows: u64,
    /// Rows of a large load, if it is to be measured.
    pub many_rows: Option<u64>,
    /// Seconds of one run of pgbench.
    pub seconds: u32,
    /// Table sizes at which `change_status` is measured, the first being what the others are compared with.
    pub sizes: Vec<u64>,
    /// Rows of one flip.
    pub batch: u32,
    /// Whether the figures are to be taken seriously.
    pub quick: bool,
    /// The only part to measure, if it is one.
    pub only: Option<String>,
}

impl Options {
    /// Reads the arguments after the program's name.
    pub fn from_arguments(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            rounds: 7,
            load_rows: 1_000_000,
            many_rows: None,
            seconds: 2,
            sizes: vec![100_000, 1_000_000],
            batch: 20_000,
            quick: false,
            only: None,
        };
        let (mut rounds, mut large, mut many) = (None, false, false);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--quick" => options.quick = true,
                "--rows-10m" => large = true,
                "--rows-20m" => many = true,
                "--rounds" => {
                    let number = arguments.next().and_then(|number| number.parse().ok());
                    rounds = Some(number.filter(|rounds| *rounds > 0).ok_or("--rounds needs a number from 1")?);
                }
                "--only" => {
                    let part = arguments.next().filter(|part| PARTS.contains(&part.as_str()));
                    options.only = Some(part.ok_or_else(|| format!("--only needs one of {}", PARTS.join(", ")))?);
                }
                other => return Err(format!("unknown argument: {other}")),
            }
        }
        if options.quick {
            options.rounds = 2;
            options.load_rows = 20_000;
            options.seconds = 1;
            options.sizes = vec![5_000, 20_000];
            options.batch = 1_000;
        }
        if many {
            options.many_rows = Some(20 * options.load_rows);
        }
        if large {
            options.sizes.push(10_000_000);
        }
        options.rounds = rounds.unwrap_or(options.rounds);
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::Options;

    fn parse(line: &str) -> Result<Options, String> {
        Options::from_arguments(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn reads_every_option() {
        assert!(parse("").is_ok_and(|o| o.rounds == 7 && o.sizes == [100_000, 1_000_000]));
        assert!(parse("--rounds 3 --rows-10m").is_ok_and(|o| o.rounds == 3 && o.sizes.len() == 3));
        assert!(parse("--rows-20m").is_ok_and(|o| o.many_rows == Some(20_000_000)));
        assert!(parse("--only load").is_ok_and(|o| o.only.as_deref() == Some("load")));
        assert!(parse("--quick --rounds 1").is_ok_and(|o| o.quick && o.rounds == 1));
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for line in ["--fast", "--rounds", "--rounds 0", "--rounds many", "--only", "--only tea", "7"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
