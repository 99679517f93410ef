//! Named checks that share what they look at and run in their order: those of the native demo and of the Compose demo.
//!
//! A test target with `harness = false` lists its checks with [`checks!`](crate::checks!) and ends in [`run`]. Arguments that are
//! no options are patterns: a check runs whose name contains one of them, or whose group has that name. `--list` names the checks.

use std::fmt::Display;
use std::fs::OpenOptions;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Barrier, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::server::try_wait;

/// How much longer is waited for what must come about than that takes on a machine that does nothing else: CI's builds an image and
/// runs other servers meanwhile. What is to be measured is measured.
pub(crate) const PATIENCE: u32 = 5;

/// Why a check ended early.
#[derive(Debug)]
pub enum Stop {
    /// What was looked at is not as it must be.
    Failed(String),
    /// It cannot be checked on this machine.
    Skipped(String),
}

/// What a check, or a step of one, comes to. Any error ends the check by `?`.
pub type Outcome<T = ()> = Result<T, Stop>;

impl<E: Display> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Ends a check unless this holds.
pub fn require(holds: bool, otherwise: impl Display) -> Outcome {
    if holds { Ok(()) } else { Err(Stop::Failed(otherwise.to_string())) }
}

/// Ends a check unless what was found is what was wanted.
pub fn same<T: PartialEq + std::fmt::Debug + ?Sized>(what: impl Display, wanted: &T, found: &T) -> Outcome {
    require(wanted == found, format!("{what}: wanted {wanted:?}, found {found:?}"))
}

/// Asks until the answer is no failure, which takes `limit` at most on a machine that does nothing else.
pub fn wait<T>(what: &str, limit: Duration, mut condition: impl FnMut() -> Outcome<T>) -> Outcome<T> {
    Ok(try_wait(what, PATIENCE * limit, || {
        condition().map_err(|stop| match stop {
            Stop::Failed(why) | Stop::Skipped(why) => why,
        })
    })?)
}

/// What the checks look at.
pub trait Subject: Sized {
    /// Makes it ready for a group; none of its checks runs if this fails or skips. The patterns are those of the command line.
    fn prepare(group: &str, patterns: &[String]) -> Outcome<Self>;

    /// Called before each check, with its name.
    fn begin(&self, _check: &str) {}

    /// What helps to understand a failure, printed before the reason.
    fn evidence(&self) -> String {
        String::new()
    }
}

/// A check by its name.
pub type Check<S> = (&'static str, fn(&S) -> Outcome);

/// Checks that share a subject and run in their order. Groups share nothing: nextest runs them at once, and so does [`run_at_once`].
#[derive(Debug)]
pub struct Group<S: 'static> {
    name: &'static str,
    first: Option<Check<S>>,
    checks: &'static [Check<S>],
}

impl<S> Group<S> {
    /// These checks, by that name.
    #[must_use]
    pub const fn new(name: &'static str, checks: &'static [Check<S>]) -> Self {
        Self { name, first: None, checks }
    }

    /// All of them need what this check makes: it runs before them, also if only some are wanted.
    #[must_use]
    pub const fn after(self, first: Check<S>) -> Self {
        Self { first: Some(first), ..self }
    }

    /// Those that are wanted by one of the patterns, with what they need.
    fn wanted(&self, patterns: &[String]) -> Vec<Check<S>> {
        let is_wanted =
            |name: &str| patterns.is_empty() || patterns.iter().any(|pattern| name.contains(pattern.as_str()));
        let is_whole = patterns.iter().any(|pattern| pattern == self.name);
        let wanted: Vec<_> = self.checks.iter().filter(|(name, _)| is_whole || is_wanted(name)).copied().collect();
        let first = self.first.filter(|(name, _)| is_wanted(name) || !wanted.is_empty());
        first.into_iter().chain(wanted).collect()
    }
}

/// Names the functions that check something, in the order in which they run: `checks! { Subject; module: name name; }`.
#[macro_export]
macro_rules! checks {
    ($subject:ty; $($module:ident: $($name:ident)+;)+) => {
        &[$($((stringify!($name), $module::$name as fn(&$subject) -> $crate::checks::Outcome)),+),+]
    };
}

/// `make test` shows at its end what is in this file.
fn repeat_at_the_end(line: &str) {
    if let Some(path) = std::env::var_os("OPERATIONS_SKIPPED")
        && let Ok(mut file) = OpenOptions::new().create(true).append(true).open(path)
    {
        // Where nothing can be written, nobody reads either.
        let _ = file.write_all(line.as_bytes());
    }
}

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Runs the checks that the command line asks for, says what became of each, and ends with `TITLE: N passed, N failed, N skipped`.
/// After an interrupt it ends with the check that runs, so that the subject can clean up; after a second one at once.
pub fn run<S: Subject>(title: &str, groups: &[Group<S>]) -> ExitCode {
    run_groups(title, groups, |wanted, run| wanted.into_iter().for_each(|group| drop(run(group))))
}

/// The same with all groups at once, each in a thread. No thread ends before all subjects are gone: a process may be bound to end with the
/// thread that has begun it, and serve them all.
pub fn run_at_once<S: Subject>(title: &str, groups: &[Group<S>]) -> ExitCode {
    run_groups(title, groups, |wanted, run| {
        let all_are_here = &Barrier::new(wanted.len());
        std::thread::scope(|scope| {
            for group in wanted {
                scope.spawn(move || {
                    let subject = run(group);
                    all_are_here.wait();
                    if catch_unwind(AssertUnwindSafe(|| drop(subject))).is_err() {
                        eprintln!("what was checked could not be cleared away: see above");
                    }
                    all_are_here.wait();
                });
            }
        });
    })
}

/// A group's name and its checks that are wanted.
type Wanted<S> = (&'static str, Vec<Check<S>>);

/// Runs one group and returns its subject, if it has come to be.
type RunGroup<'a, S> = &'a (dyn Fn(Wanted<S>) -> Option<S> + Sync);

fn run_groups<S: Subject>(
    title: &str,
    groups: &[Group<S>],
    run_all: impl FnOnce(Vec<Wanted<S>>, RunGroup<'_, S>),
) -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let is_given = |option: &str| arguments.iter().any(|given| given == option);
    // nextest asks for its format of the list, and then for what it was told. To it a group is a test.
    if is_given("--list") && is_given("--format") {
        if !is_given("--ignored") {
            groups.iter().for_each(|group| println!("{}: test", group.name));
        }
        return ExitCode::SUCCESS;
    }
    let patterns: Vec<_> = arguments.iter().filter(|argument| !argument.starts_with('-')).cloned().collect();
    let is_one = |group: &&Group<S>| !is_given("--exact") || patterns.iter().any(|pattern| pattern == group.name);
    let wanted = groups.iter().filter(is_one).map(|group| (group.name, group.wanted(&patterns)));
    let wanted: Vec<Wanted<S>> = wanted.filter(|(_, checks)| !checks.is_empty()).collect();
    if is_given("--list") {
        wanted.iter().flat_map(|(_, checks)| checks).for_each(|(name, _)| println!("{name}"));
        return ExitCode::SUCCESS;
    }
    if wanted.is_empty() {
        eprintln!("error: no check has one of {patterns:?} in its name: --list names them");
        return ExitCode::FAILURE;
    }
    let handler = ctrlc::set_handler(|| {
        if INTERRUPTED.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        eprintln!("interrupted: cleaning up");
    });
    if let Err(error) = handler {
        eprintln!("an interrupt will leave things behind: {error}");
    }
    let tally = Mutex::new(Tally::default());
    run_all(wanted, &|(name, checks)| run_group(name, &checks, &patterns, &tally));
    let Tally { passed, failures, skipped } = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
    // Once more: the evidence above is long, and whoever keeps only the end of a log must find the reasons in it.
    failures.iter().for_each(|failure| println!("{failure}"));
    let failed = failures.len();
    println!("{title}: {passed} passed, {failed} failed, {skipped} skipped");
    match INTERRUPTED.load(Ordering::Relaxed) {
        true => ExitCode::from(130),
        false if failed == 0 && passed + skipped > 0 => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

#[derive(Default)]
struct Tally {
    passed: usize,
    failures: Vec<String>,
    skipped: usize,
}

impl Tally {
    fn skip(&mut self, what: &str, checks: usize, why: &str) {
        let line = format!("SKIPPED {what}: {why}\n");
        print!("{line}");
        repeat_at_the_end(&line);
        self.skipped += checks;
    }

    fn fail(&mut self, what: &str, why: &str, evidence: &str) {
        let lines: String = evidence.lines().chain(why.lines()).map(|line| format!("        {line}\n")).collect();
        // At once, for other groups print, too.
        print!("FAILED  {what}\n{lines}");
        self.failures.push(format!("FAILED  {what}: {why}"));
    }
}

/// Runs these checks on a subject of their own, and returns that.
fn run_group<S: Subject>(group: &str, checks: &[Check<S>], patterns: &[String], tally: &Mutex<Tally>) -> Option<S> {
    let tally = || tally.lock().unwrap_or_else(PoisonError::into_inner);
    let panicked = || Stop::Failed("it panicked: see above".to_owned());
    let prepared = catch_unwind(AssertUnwindSafe(|| S::prepare(group, patterns)));
    let subject = match prepared.unwrap_or_else(|_| Err(panicked())) {
        Ok(subject) => subject,
        Err(Stop::Skipped(why)) => {
            tally().skip(&format!("all {group}"), checks.len(), &why);
            return None;
        }
        Err(Stop::Failed(why)) => {
            tally().fail(&format!("all {group}"), &why, "");
            return None;
        }
    };
    for (name, check) in checks {
        if INTERRUPTED.load(Ordering::Relaxed) {
            break;
        }
        let began = Instant::now();
        subject.begin(name);
        let outcome = catch_unwind(AssertUnwindSafe(|| check(&subject)));
        let took = began.elapsed().as_secs();
        match outcome.unwrap_or_else(|_| Err(panicked())) {
            Ok(()) => {
                tally().passed += 1;
                println!("ok      {name} ({took} s)");
            }
            Err(Stop::Skipped(why)) => tally().skip(name, 1, &why),
            Err(Stop::Failed(why)) => {
                let evidence = subject.evidence();
                tally().fail(&format!("{name} ({took} s)"), &why, &evidence);
            }
        }
    }
    Some(subject)
}
