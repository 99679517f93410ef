//! Who may come in, and who sees the passwords.

use operations_lab::checks::{Outcome, require};

use crate::bases::DEMO_IMAGE;
use crate::demo::{DATABASE, Demo, PASSWORD, REPLICATION_PASSWORD, REPLICATION_USER, USER};
use crate::engine::ip;

/// A client that asks the server for its identity, which only a replication connection may.
struct Knock<'a> {
    host: &'a str,
    port: u16,
    user: &'a str,
    password: &'a str,
    more: &'a str,
}

impl Knock<'_> {
    fn psql(&self, demo: &Demo) -> Outcome<crate::programs::Finished> {
        let Self { host, port, user, password, more } = self;
        let conninfo = format!("host={host} port={port} user={user} dbname={DATABASE} connect_timeout=5 {more}");
        demo.psql_from_this_machine(&conninfo, password, "IDENTIFY_SYSTEM")
    }

    fn is_let_in(&self, demo: &Demo) -> Outcome {
        self.psql(demo)?.output()?;
        Ok(())
    }

    /// It must be refused for this reason.
    fn is_refused(&self, demo: &Demo, why: &str) -> Outcome {
        let answer = self.psql(demo)?.refused(&format!("it should end with \"{why}\""))?.text();
        require(answer.contains(why), format!("{} was refused for another reason than \"{why}\": {answer}", self.user))
    }
}

pub fn wrong_passwords_are_refused(demo: &Demo) -> Outcome {
    demo.need()?;
    assert_wrong_passwords_are_refused(demo)
}

/// Also where the passwords came another way.
pub fn assert_wrong_passwords_are_refused(demo: &Demo) -> Outcome {
    let (host, replication) = ("127.0.0.1", "replication=true");
    for port in [demo.primary_port, demo.replica_port] {
        let knock = Knock { host, port, user: USER, password: "wrong", more: "" };
        knock.is_refused(demo, "password authentication failed")?;
        Knock { password: "", ..knock }.is_refused(demo, "no password supplied")?;
        let knock = Knock { host, port, user: REPLICATION_USER, password: "wrong", more: replication };
        knock.is_refused(demo, "password authentication failed")?;
    }
    let (user, password) = (REPLICATION_USER, REPLICATION_PASSWORD);
    Knock { host, port: demo.primary_port, user, password, more: replication }.is_let_in(demo)
}

/// An address of this machine that is in none of the primary's networks, used towards the primary alone.
struct Outside {
    address: &'static str,
    route: Vec<String>,
}

impl Outside {
    fn towards(primary: &str) -> Outcome<Self> {
        let address = "198.51.100.7";
        let found = ip(&["-o", "route", "get", primary])?;
        let device = found.split_whitespace().skip_while(|word| *word != "dev").nth(1);
        let device = device.ok_or_else(|| format!("no way to {primary}: {found}"))?;
        let route = [&format!("{primary}/32"), "dev", device, "src", address].map(str::to_owned).to_vec();
        ip(&["address", "add", &format!("{address}/32"), "dev", "lo"])?;
        let outside = Self { address, route };
        outside.route("add")?;
        Ok(outside)
    }

    fn route(&self, action: &str) -> Outcome {
        let words: Vec<_> = ["route", action].into_iter().chain(self.route.iter().map(String::as_str)).collect();
        ip(&words)?;
        Ok(())
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        // The route may not be there.
        let _ = self.route("del");
        let _ = ip(&["address", "del", &format!("{}/32", self.address), "dev", "lo"]);
    }
}

pub fn replication_from_outside_is_refused(demo: &Demo) -> Outcome {
    demo.need()?;
    let primary = demo.primary().container()?.address()?;
    let (user, password) = (REPLICATION_USER, REPLICATION_PASSWORD);
    let knock = Knock { host: &primary, port: 5432, user, password, more: "replication=true" };
    // From the network's own address.
    knock.is_let_in(demo)?;
    let outside = Outside::towards(&primary)?;
    let why = format!("no pg_hba.conf entry for replication connection from host \"{}\"", outside.address);
    knock.is_refused(demo, &why)
}

pub fn passwords_are_nowhere_to_be_seen(demo: &Demo) -> Outcome {
    demo.need()?;
    let history = demo.engine.ask(&["history", "--no-trunc", &DEMO_IMAGE])?;
    for service in [demo.primary(), demo.replica(), demo.lab()] {
        let container = service.container()?;
        let how_it_runs = "{{json .Path}} {{json .Args}} {{json .Config.Cmd}} {{json .Config.Entrypoint}} {{json .Config.Healthcheck}}";
        let seen = [
            container.inspect(how_it_runs)?,
            demo.engine.ask(&["top", &container.id, "-eo", "pid,args"])?,
            container.log()?.0,
            history.clone(),
        ];
        has_no_password(service.name, &seen)?;
    }
    Ok(())
}

/// Nothing that was seen of it holds a password, nor the beginning of one.
pub fn has_no_password(whose: &str, seen: &[String]) -> Outcome {
    for password in [PASSWORD, REPLICATION_PASSWORD, &PASSWORD[..4], &REPLICATION_PASSWORD[..4]] {
        let line = seen.iter().flat_map(|text| text.lines()).find(|line| line.contains(password));
        require(line.is_none(), format!("a password of {whose}: {}", line.unwrap_or_default()))?;
    }
    Ok(())
}
