//! A container of the demo: looked into, acted in, killed, cut off and slowed down.

use std::process::Command;
use std::time::Duration;

use operations_lab::checks::{Outcome, require};

use crate::demo::{DATABASE, Demo, USER};
use crate::programs::{Finished, finish};

#[derive(Clone)]
pub struct Container<'a> {
    pub demo: &'a Demo,
    pub id: String,
}

impl Container<'_> {
    /// What `docker inspect` says of it, as a Go template asks.
    pub fn inspect(&self, template: &str) -> Outcome<String> {
        self.demo.engine.ask(&["inspect", "--format", template, &self.id])
    }

    /// `starting`, `healthy` or `unhealthy`.
    pub fn health(&self) -> Outcome<String> {
        self.inspect("{{.State.Health.Status}}")
    }

    /// Whether it runs, and what the newest healthcheck printed.
    pub fn reason(&self) -> Outcome<String> {
        let last = "{{.State.Status}}{{range .State.Health.Log}}{{println}}{{.Output}}{{end}}";
        let text = self.inspect(last)?;
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let state = lines.next().unwrap_or_default();
        Ok(format!("{state}: {}", lines.next_back().unwrap_or("the healthcheck printed nothing")))
    }

    /// All that it wrote.
    pub fn log(&self) -> Outcome<Log> {
        self.log_since("0")
    }

    /// What it wrote since a moment: see [`crate::demo::now`].
    pub fn log_since(&self, moment: &str) -> Outcome<Log> {
        let logs = self.demo.engine.docker(&["logs", "--since", moment, &self.id])?;
        let text = logs.text();
        logs.output()?;
        Ok(Log(text))
    }

    /// Runs a program in it as a user; what it prints on standard output.
    pub fn exec(&self, user: &str, program: &[&str]) -> Outcome<String> {
        self.try_exec(user, program)?.output()
    }

    /// The same where it may fail.
    pub fn try_exec(&self, user: &str, program: &[&str]) -> Outcome<Finished> {
        self.demo.engine.docker(&[&["exec", "--user", user, &self.id], program].concat())
    }

    /// The answer of its server to a query, asked in the container through the socket.
    pub fn psql(&self, query: &str) -> Outcome<String> {
        let psql = ["psql", "--no-psqlrc", "-qAt", "-v", "ON_ERROR_STOP=1"];
        self.exec("postgres", &[&psql[..], &["-U", USER, "-d", DATABASE, "-c", query]].concat())
    }

    /// `docker kill`; Docker does not start it again.
    pub fn kill(&self) -> Outcome {
        self.act(&["kill", &self.id])
    }

    /// `docker start`.
    pub fn start(&self) -> Outcome {
        self.act(&["start", &self.id])
    }

    /// `docker pause`: its processes stand still, and its connections stay.
    pub fn freeze(&self) -> Outcome {
        self.act(&["pause", &self.id])
    }

    /// `docker unpause`.
    pub fn thaw(&self) -> Outcome {
        self.act(&["unpause", &self.id])
    }

    /// Takes it off the demo's network.
    pub fn disconnect(&self) -> Outcome {
        self.act(&["network", "disconnect", &self.network(), &self.id])
    }

    /// Puts it back, under the name of its service.
    pub fn reconnect(&self, service: &str) -> Outcome {
        self.act(&["network", "connect", "--alias", service, &self.network(), &self.id])
    }

    /// The demo's network.
    pub fn network(&self) -> String {
        format!("{}_default", self.demo.project)
    }

    fn act(&self, arguments: &[&str]) -> Outcome {
        self.demo.engine.ask(arguments)?;
        Ok(())
    }

    /// Its address in the demo's network.
    pub fn address(&self) -> Outcome<String> {
        self.inspect("{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}")
    }

    /// Process id, on this machine, of its server: the first process named so below the container's first one.
    pub fn postmaster(&self) -> Outcome<i32> {
        let mut pid = self.inspect("{{.State.Pid}}")?;
        loop {
            let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
            let name = |pid: &str| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            if let Some(server) = children.split_whitespace().find(|pid| name(pid).trim() == "postgres") {
                return Ok(server.parse()?);
            }
            let next = children.split_whitespace().find(|pid| name(pid).trim() != "sleep");
            next.ok_or_else(|| format!("no server runs below process {pid}"))?.clone_into(&mut pid);
        }
    }

    /// Lets little through its network until the answer is dropped, so that what goes over it lasts long enough to be cut short.
    pub fn slow_down(&self) -> Outcome<Slow> {
        let slow = Slow(self.inspect("{{.State.Pid}}")?);
        slow.tc(&["add", "dev", "eth0", "root", "tbf", "rate", "80mbit", "burst", "256kb", "latency", "400ms"])?;
        Ok(slow)
    }
}

/// A network that is slow as long as this lives; by a process of its container.
pub struct Slow(String);

impl Slow {
    fn tc(&self, arguments: &[&str]) -> Outcome {
        let mut command = Command::new("nsenter");
        command.args(["--net", "--target", &self.0, "tc", "qdisc"]).args(arguments);
        finish(command, Duration::from_secs(60))?.output()?;
        Ok(())
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        // With the container it is gone, too.
        let _ = self.tc(&["del", "dev", "eth0", "root"]);
    }
}

/// What a container wrote.
#[derive(Default)]
pub struct Log(pub String);

impl Log {
    /// A line of it must have these parts in their order.
    pub fn says(&self, parts: &[&str]) -> Outcome {
        require(self.has(parts), format!("the log does not say {parts:?}"))
    }

    /// No line of it may have these parts in their order.
    pub fn does_not_say(&self, parts: &[&str], why: &str) -> Outcome {
        let line = self.0.lines().find(|line| has(line, parts));
        require(line.is_none(), format!("{why}: the log says {}", line.unwrap_or_default()))
    }

    /// A line of it must begin so.
    pub fn has_line_that_begins(&self, text: &str) -> Outcome {
        require(self.0.lines().any(|line| line.starts_with(text)), format!("no line of the log begins {text:?}"))
    }

    fn has(&self, parts: &[&str]) -> bool {
        self.0.lines().any(|line| has(line, parts))
    }
}

/// Whether a line has these, in their order.
fn has(line: &str, parts: &[&str]) -> bool {
    parts.iter().try_fold(line, |rest, part| rest.split_once(part).map(|(_, after)| after)).is_some()
}
