//! `/metrics` asks as `operations_lab`: what a role with fewer rights than a superuser's owns is named, and not read.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use operations_cluster::expect::{SOON, run, wait_until};
use operations_lab::http;
use operations_lab::role::Role;
use operations_lab::serve::{Options, Servers, USER};
use operations_lab::target::Target;

use crate::lab::{Lab, MALLORY};

/// Serves the page of a database, until the test ends, and returns its port.
fn serve(lab: &Lab) -> u16 {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = lab.server();
    let target = Target::local(Role::Primary, server.port(), USER, lab.database(), server.password());
    let servers = Servers::Named(vec![target]);
    let options = Options { host: "127.0.0.1".to_owned(), port, names: Vec::new(), servers };
    std::thread::spawn(move || operations_lab::serve::run(options, &Arc::default()));
    port
}

fn get(port: u16, path: &str) -> Result<String, String> {
    let answer = http::ask(port, "GET", path, "localhost", Duration::from_secs(5));
    answer.map(|answer| answer.body).map_err(|error| error.to_string())
}

/// Waits until these lines are in `/metrics`, and those are not.
#[track_caller]
fn wait_for(port: u16, what: &str, there: &[&str], gone: &[&str]) {
    wait_until(what, SOON, || {
        let metrics = get(port, "/metrics")?;
        let is_there = |line: &&&str| metrics.contains(**line);
        match there.iter().all(|line| is_there(&line)) && !gone.iter().any(|line| is_there(&line)) {
            true => Ok(()),
            false => {
                Err(metrics.lines().filter(|line| line.contains("collector_success")).collect::<Vec<_>>().join("\n"))
            }
        }
    });
}

/// How long the last tries took of the collectors that read operations: another time each.
fn tries(port: u16) -> Result<Vec<String>, String> {
    let of_operations = |line: &&str| {
        line.contains("collector_duration_seconds{") && (line.contains("\"operations\"") || line.contains("\"months\""))
    };
    Ok(get(port, "/metrics")?.lines().filter(of_operations).map(str::to_owned).collect())
}

const OF_OPERATIONS: [&str; 2] = ["operations_lab_operations_inserted_total{", "operations_lab_month_operations{"];

/// Who plans a query runs the constant parts of the indexes and checks of what it reads.
#[test]
fn metrics_read_nothing_of_a_role_that_is_no_superuser() {
    let mut lab = Lab::new("metrics", MALLORY);
    run(&mut lab.superuser(), &format!("GRANT CREATE ON SCHEMA public TO {MALLORY}"));
    let port = serve(&lab);
    wait_for(port, "the metrics of operations", &OF_OPERATIONS, &[]);
    for relation in ["operations_2025_08", "operations"] {
        run(&mut lab.superuser(), &format!("ALTER TABLE public.{relation} OWNER TO {MALLORY}"));
        let mut traps = format!("CREATE INDEX trap ON public.{relation} (client_id) WHERE lair.spring('index') = 1");
        if relation != "operations" {
            traps += &format!(
                "; ALTER TABLE public.{relation} ADD CONSTRAINT trap CHECK (status < 2 * lair.spring('check')) NOT VALID"
            );
        }
        // What was asked while it was somebody else's already, and had no trap yet, is told until it is asked again.
        wait_for(
            port,
            &format!("{relation} not to be read"),
            &[
                "operations_lab_collector_success{server=\"primary\",collector=\"operations\"} 0",
                "operations_lab_collector_success{server=\"primary\",collector=\"months\"} 0",
                "operations_lab_collector_success{server=\"primary\",collector=\"tables\"} 1",
            ],
            &OF_OPERATIONS,
        );
        run(&mut lab.attacker(), &traps);
        let planned = format!("SELECT count(*) FROM public.{relation} WHERE status = 0");
        lab.expect_armed(&planned, &["index"]);
        let before = tries(port).unwrap();
        wait_until("both to be asked again", SOON, || {
            let now = tries(port)?;
            match now.iter().any(|line| before.contains(line)) {
                true => Err(now.join("\n")),
                false => Ok(()),
            }
        });
        let state = get(port, "/api/state").unwrap();
        assert!(
            state.contains(&format!("not read: public.{relation} belongs to {MALLORY}, who is no superuser")),
            "{state}"
        );
        let undo = format!(
            "DROP INDEX public.trap; ALTER TABLE public.{relation} DROP CONSTRAINT IF EXISTS trap; ALTER TABLE public.{relation} OWNER TO CURRENT_USER"
        );
        let sprung = lab.sprung();
        assert!(sprung.iter().all(|sprung| sprung.role != USER), "{sprung:?}");
        run(&mut lab.superuser(), &undo);
        wait_for(port, "the metrics of operations again", &OF_OPERATIONS, &[]);
    }
}
