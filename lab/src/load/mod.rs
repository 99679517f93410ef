//! Load at will: PostgreSQL's own pgbench with the scripts of `load/`, and what it does to the servers.

mod day;
mod mix;
mod pgbench;
mod report;
mod servers;
mod watch;

pub use day::{Step, steps};
pub use mix::{Mix, SCRIPTS, Script};
pub use report::{Comparison, Totals};
pub use servers::{Place, Servers};
pub use watch::{Lag, Look};

use std::cell::RefCell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::error::{Error, LoadError};
use crate::marks::Open;
use crate::say::{say, warn};
use pgbench::{Bench, Done, Order, Scratch};

/// How long all may take to be as well as before.
const SETTLE: Duration = Duration::from_secs(15);

/// How long a server may be away before a day goes on without it.
const AWAY: Duration = Duration::from_secs(5);

/// How long a pgbench may take to end: its last transactions, and what it says of them.
const END: Duration = Duration::from_secs(15);

/// What to do.
#[derive(Clone, Debug)]
pub struct Load {
    /// What is run.
    pub mix: Mix,
    /// Sessions on each server.
    pub clients: u32,
    /// One rate after the other.
    pub steps: Vec<Step>,
    /// Whether pgbench's own words are told also where several replicas are loaded.
    pub details: bool,
}

impl Load {
    /// What it is, in one line.
    fn line(&self) -> String {
        let (peak, seconds) =
            self.steps.iter().fold((0.0_f64, 0), |(peak, seconds), step| (peak.max(step.rate), seconds + step.seconds));
        format!("load of {seconds} s, at most {peak:.0} transactions a second: {}", self.mix)
    }
}

/// What it came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What was done.
    pub totals: Totals,
    /// What it did to the servers.
    pub comparison: Comparison,
    /// Whether it was ended before its time.
    pub interrupted: bool,
}

/// Runs a load until it is over or `interrupts` is no longer 0, and prints what pgbench says of it; then compares.
pub fn run(servers: &Servers<'_>, load: &Load, interrupts: &AtomicUsize) -> Result<Outcome, Error> {
    let (programs, owner) = servers.programs()?;
    // What cannot be done at all is said before anything is.
    for place in servers.places(&load.mix)? {
        place?;
    }
    let scratch = Scratch::new(&owner)?;
    let before = Look::take(servers);
    // For the plots of the page.
    let mut noted = servers.demo().map(|demo| Open::begin(&demo.layout, "load", &load.line()));
    let (totals, during) =
        watch::beside(servers, || Run { servers, load, interrupts, programs, scratch, away: RefCell::default() }.all());
    let totals = totals?;
    if let Some(noted) = &mut noted {
        noted.ends_with(&totals.line());
    }
    drop(noted);
    let mut after = Look::take(servers);
    let began = Instant::now();
    while after.is_worse_than(&before) && began.elapsed() < SETTLE && interrupts.load(Ordering::Relaxed) < 2 {
        after = Look::take(servers);
    }
    let comparison = Comparison { before, during, after, settled: began.elapsed() };
    say(&format!("\n{}\n{}", totals.line(), comparison.text().trim_end()));
    Ok(Outcome { totals, comparison, interrupted: interrupts.load(Ordering::Relaxed) > 0 })
}

struct Run<'a> {
    servers: &'a Servers<'a>,
    load: &'a Load,
    interrupts: &'a AtomicUsize,
    programs: crate::demo::Programs,
    scratch: Scratch,
    /// Who is away, as it was said last.
    away: RefCell<String>,
}

impl Run<'_> {
    fn is_interrupted(&self) -> bool {
        self.interrupts.load(Ordering::Relaxed) > 0
    }

    fn all(&self) -> Result<Totals, Error> {
        let (mut totals, began) = (Totals::default(), Instant::now());
        if self.load.steps.len() > 1 {
            say("hour   asked for    done a second      latency  failed");
        }
        for step in &self.load.steps {
            let done = self.step(step)?;
            totals.wanted += step.rate * f64::from(step.seconds);
            for (_, done) in &done {
                totals.processed += done.processed;
                totals.failed += done.failed;
                totals.aborted += u64::from(done.aborted);
            }
            self.say_step(step, &done);
            if self.is_interrupted() {
                break;
            }
        }
        totals.took = began.elapsed();
        if self.is_interrupted() {
            totals.wanted = wanted_until(&self.load.steps, totals.took);
        }
        Ok(totals)
    }

    /// Of several replicas a line for each is told: their reports would fill screens.
    fn is_table(&self, servers: usize) -> bool {
        servers > 2 && !self.load.details
    }

    fn say_step(&self, step: &Step, done: &[(String, Done)]) {
        let Some(hour) = step.hour else {
            if self.is_table(done.len()) {
                say(&format!("\n{}", report::table(done, step.seconds)));
            } else {
                done.iter().for_each(|(server, done)| say(&format!("\n{server}:\n{}", done.report.trim_end())));
            }
            return;
        };
        let processed: u64 = done.iter().map(|(_, done)| done.processed).sum();
        let failed: u64 = done.iter().map(|(_, done)| done.failed).sum();
        let latencies: Vec<_> =
            done.iter().filter_map(|(server, done)| Some(format!("{server} {:.1} ms", done.latency?))).collect();
        #[expect(clippy::cast_precision_loss, reason = "a rate needs no more than 15 digits")]
        let rate = processed as f64 / f64::from(step.seconds);
        say(&format!("{hour:02}:00  {:>9.1}  {rate:>15.1}  {:>32}  {failed:>6}", step.rate, latencies.join(", ")));
    }

    /// Loads all servers at once. Between two steps a failover may have come: then the new writer is loaded.
    fn step(&self, step: &Step) -> Result<Vec<(String, Done)>, Error> {
        let began = Instant::now();
        let places = self.find_places(step)?;
        let left = step.seconds.saturating_sub(u32::try_from(began.elapsed().as_secs()).unwrap_or(0)).max(1);
        let of_role = |role| places.iter().filter(|place| place.target.role == role).count();
        let (mut names, mut benches) = (Vec::new(), Vec::new());
        for place in &places {
            let server = place.target.role;
            let shared_by = of_role(server);
            let name = if shared_by > 1 { place.target.name() } else { server.to_string() };
            let order = Order {
                name: &name,
                target: &place.target,
                options: &place.options,
                scripts: self.load.mix.of(server).collect(),
                // The replicas share what is read.
                rate: step.rate * self.load.mix.share(server) / u32::try_from(shared_by).map_or(1.0, f64::from),
                clients: self.load.clients,
                seconds: left,
                progress: step.hour.is_none() && !self.is_table(places.len()),
            };
            benches.push(Bench::start(&self.programs, &self.scratch, &order)?);
            names.push(name);
        }
        self.wait(&mut benches, step)?;
        names.into_iter().zip(benches).map(|(name, bench)| Ok((name, bench.finish()?))).collect()
    }

    /// A load at one rate needs all servers. A day goes on without those that are away: it waits for them a moment, as a failover
    /// takes, and for one of them up to the end of the step.
    fn find_places(&self, step: &Step) -> Result<Vec<Place>, Error> {
        let began = Instant::now();
        let patience = AWAY.min(step.length() / 2);
        loop {
            let mut places = Vec::new();
            let mut away = Vec::new();
            for found in self.servers.places(&self.load.mix)? {
                match found {
                    Ok(place) => places.push(place),
                    Err(error) if step.hour.is_none() => return Err(error),
                    Err(Error::Load(LoadError::NotLoadable { server, why })) => {
                        away.push(format!("without {server}: {why}"))
                    }
                    Err(error) => return Err(error),
                }
            }
            let waited = began.elapsed();
            let goes_on = waited >= if places.is_empty() { step.length() } else { patience };
            if away.is_empty() || goes_on || self.is_interrupted() {
                self.say_who_is_away(&away.join("; "));
                return Ok(places);
            }
            std::thread::sleep(Duration::from_millis(250));
        }
    }

    /// Once, and not in each hour.
    fn say_who_is_away(&self, away: &str) {
        if *self.away.borrow() != away {
            if !away.is_empty() {
                warn(away);
            }
            away.clone_into(&mut self.away.borrow_mut());
        }
    }

    /// Waits for the end of all. An interrupt asks them to end as if their time were over, a second one to end at once; so does
    /// the patience with one that hangs with its server.
    fn wait(&self, benches: &mut [Bench], step: &Step) -> Result<(), Error> {
        let (mut asked, mut latest) = (0, Instant::now() + step.length() + END);
        loop {
            let mut all_ended = true;
            for bench in &mut *benches {
                all_ended &= bench.has_ended()?;
            }
            if all_ended {
                return Ok(());
            }
            let (now, interrupts) = (Instant::now(), self.interrupts.load(Ordering::Relaxed));
            let at_once = interrupts > 1 || now > latest;
            if interrupts > asked || now > latest {
                benches.iter().for_each(|bench| bench.stop(at_once));
                latest = now + END;
                asked = interrupts;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// How many transactions were asked for until then.
fn wanted_until(steps: &[Step], took: Duration) -> f64 {
    let mut left = took.as_secs_f64();
    let mut wanted = 0.0;
    for step in steps {
        let seconds = left.min(f64::from(step.seconds));
        wanted += step.rate * seconds;
        left -= seconds;
    }
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_load_that_was_cut_short_only_its_time_counts() {
        let steps = [Step::whole(10, 5), Step::whole(100, 5)];
        assert!((wanted_until(&steps, Duration::from_secs(6)) - 150.0).abs() < 1e-9);
        assert!((wanted_until(&steps, Duration::from_secs(60)) - 550.0).abs() < 1e-9);
    }
}
