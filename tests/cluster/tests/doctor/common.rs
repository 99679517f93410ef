//! A pair that does its duty, and waiting for what the doctor says of it.

use std::time::{Duration, Instant};

use operations_cluster::expect::{SOON, run};
use operations_cluster::{DATABASE, SUPERUSER, Server, ServerBuilder, wait_until};
use operations_lab::doctor::{Finding, Options, Report, Severity, Verdict, can_be_typed, examine};
use operations_lab::role::Role;
use operations_lab::target::Target;

/// How soon what is caused must be seen, and what is mended must be gone.
const LIMIT: Duration = Duration::from_secs(10);

/// Where many tests run at once a look alone can take seconds. What the third one has seen was seen soon enough.
const LOOKS: u32 = 3;

/// Looks until the answer is `Ok`. A look that is begun too late counts no more.
#[track_caller]
pub fn look_until<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let (start, mut looks) = (Instant::now(), 0);
    let answer = wait_until(what, SOON, || {
        looks += 1;
        match look() {
            Err(last) if looks < LOOKS || start.elapsed() < LIMIT => Err(last),
            answer => Ok(answer),
        }
    });
    match answer {
        Ok(value) => value,
        Err(last) => panic!("waited {:?} and {looks} looks for {what}; last seen: {last}", start.elapsed()),
    }
}

/// A primary and its replica.
pub struct Pair {
    pub primary: Server,
    pub replica: Server,
}

/// What the demo has and the test library leaves out or turns off for speed, of what the doctor looks at: jobs that run, and fsync.
pub fn live() -> ServerBuilder {
    Server::primary().with_rows().with_fast_worker().setting("fsync", "on")
}

impl Pair {
    /// A pair whose jobs run and whose doctor says so.
    pub fn start() -> Self {
        Self::of(live(), &[])
    }

    /// The pair of a primary and a replica that have other settings.
    pub fn of(builder: ServerBuilder, replica: &[(&str, &str)]) -> Self {
        let primary = builder.start().unwrap();
        let settings = replica
            .iter()
            .fold(primary.replica().setting("fsync", "on"), |made, (name, value)| made.setting(name, value));
        let replica = settings.start().unwrap();
        let mut session = primary.session().unwrap();
        run(&mut session, "CALL operations_schedule()");
        let pair = Self { primary, replica };
        pair.expect_well();
        pair
    }

    pub fn targets(&self) -> Vec<Target> {
        vec![target(Role::Primary, &self.primary), target(Role::Replica, &self.replica)]
    }

    pub fn examine(&self) -> Report {
        examine(&self.targets(), &Options::default())
    }

    /// Waits until the doctor finds this, within the limit, and says of whom; returns what it said.
    #[track_caller]
    pub fn sees(&self, code: &str, severity: Severity, server: &Server) -> Finding {
        sees(&self.targets(), code, severity, server)
    }

    /// As [`Self::sees`], of a finding whose evidence names this.
    #[track_caller]
    pub fn sees_naming(&self, code: &str, server: &Server, name: &str) {
        let port = format!(":{}", server.port());
        look_until(&format!("the doctor to find {code} of {name}"), || {
            let report = self.examine();
            let fits = |finding: &Finding| {
                finding.code == code && finding.server.ends_with(&port) && finding.evidence.contains(name)
            };
            if report.findings.iter().any(fits) { Ok(()) } else { Err(report.text()) }
        });
    }

    /// Waits until the doctor finds nothing at all any more.
    #[track_caller]
    pub fn expect_well(&self) {
        look_until("the doctor to find nothing", || well(&self.examine()));
    }
}

/// A server as the doctor is told of it.
pub fn target(role: Role, server: &Server) -> Target {
    let url = format!("postgresql://{SUPERUSER}@127.0.0.1:{}/{DATABASE}", server.port());
    Target::from_url(role, &url).unwrap().with_password(server.password())
}

/// Nothing but what is good to know.
pub fn well(report: &Report) -> Result<(), String> {
    match report.verdict {
        Verdict::Ok => Ok(()),
        _ => Err(report.text()),
    }
}

#[track_caller]
pub fn sees(targets: &[Target], code: &str, severity: Severity, server: &Server) -> Finding {
    let port = format!(":{}", server.port());
    let finding = look_until(&format!("the doctor to find {code}"), || {
        let report = examine(targets, &Options::default());
        let found = report.findings.iter().find(|finding| finding.code == code && finding.server.ends_with(&port));
        found.cloned().ok_or_else(|| report.text())
    });
    assert_eq!(finding.severity, severity, "{finding:?}");
    assert!(!finding.evidence.is_empty() && can_be_typed(&finding.next_command), "{finding:?}");
    finding
}

/// Changes a setting of a running server.
#[track_caller]
pub fn set(server: &Server, name: &str, value: &str) {
    let mut session = server.session().unwrap();
    // A session that may write, even where the server's default is that none may.
    run(&mut session, "SET default_transaction_read_only = off");
    run(&mut session, &format!("ALTER SYSTEM SET {name} = '{value}'"));
    run(&mut session, "SELECT pg_reload_conf()");
}
