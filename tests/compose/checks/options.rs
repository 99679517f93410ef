//! What compose.yaml offers beyond the plain start.

use std::os::unix::fs::PermissionsExt;

use operations_lab::checkout;
use operations_lab::checks::{Outcome, require, same};

use crate::access::assert_wrong_passwords_are_refused;
use crate::bases::DEMO_IMAGE;
use crate::demo::{Demo, PASSWORD, REPLICAS, REPLICATION_PASSWORD, now};

/// Each streams from a slot of its own.
fn three_follow(demo: &Demo, what: &str) -> Outcome {
    let followers = "SELECT pg_catalog.count(*) FROM pg_catalog.pg_replication_slots AS s
        JOIN pg_catalog.pg_stat_replication AS r ON r.pid = s.active_pid
        WHERE s.slot_name LIKE 'postgres_replica_%' AND r.state = 'streaming'";
    demo.primary().comes_to_answer(what, followers, &REPLICAS.to_string(), 30)
}

pub fn three_replicas(demo: &Demo) -> Outcome {
    demo.need()?;
    let first = demo.replica_port;
    let scaled = demo.compose().env("REPLICA_PORT", format!("{first}-{}", first + REPLICAS - 1));
    let scale = ["--scale", &format!("postgres_replica={REPLICAS}")];
    scaled.up(&scale)?;
    three_follow(demo, "three replicas with a slot each")?;
    let report = crate::lab::comes_to_be_ok(demo, 60)?;
    for number in 1..=REPLICAS {
        require(report.contains(&format!("replica postgres_replica_{number}:5432")), &report)?;
    }
    for replica in demo.replica().containers()? {
        same("in recovery", "t", replica.psql("SELECT pg_catalog.pg_is_in_recovery()")?.as_str())?;
    }
    // Each finds its number again, and with it its folder and its slot.
    let since = now()?;
    demo.compose().run(&["restart", "postgres_replica"])?;
    scaled.up(&scale)?;
    three_follow(demo, "three replicas after a restart")?;
    demo.primary().log_since(&since)?.does_not_say(&["BASE_BACKUP"], "a replica was cloned anew")?;
    demo.compose().up(&["--scale", "postgres_replica=1"])
}

/// Three replicas whose folders are there start at once, twenty times: each takes a number and looks whether the others are held, as
/// docker/entrypoint/replica.sh does.
const START_AT_ONCE: &str = r#"
. /usr/local/lib/operations/entrypoint/common.sh
start() {
    take_number "$1"
    echo "$number" >>"$1/taken"
    for other in "$1"/replica_*.lock; do is_held "$1" "$other" || true; done
    sleep 0.2
}
for round in {1..20}; do
    volume=$(mktemp -d)
    for number in 1 2 3; do
        mkdir "$volume/replica_$number"
        : >"$volume/replica_$number.lock"
    done
    for _ in 1 2 3; do (start "$volume") & done
    wait
    sort "$volume/taken" | xargs
done
"#;

pub fn replicas_that_start_at_once_find_their_numbers_again(demo: &Demo) -> Outcome {
    let taken = demo.engine.ask(&["run", "--rm", "--entrypoint", "bash", &DEMO_IMAGE, "-euc", START_AT_ONCE])?;
    same("the numbers taken in each round", ["1 2 3"; 20].join("\n").as_str(), taken.trim())
}

/// pg_cron runs the job in a background worker.
pub fn jobs_insert_as_many_operations_as_are_set(demo: &Demo) -> Outcome {
    demo.need()?;
    let lively = demo.compose().env("OPERATIONS_INSERT_BATCH", "50");
    lively.up(&[])?;
    let rows: i64 = demo.primary().ask("SELECT pg_catalog.count(*) FROM public.operations")?.trim().parse()?;
    let grown = format!("SELECT pg_catalog.count(*) >= {} FROM public.operations", rows + 100);
    demo.primary().comes_to_answer("two runs of 50 operations", &grown, "t", 30)?;
    demo.compose().up(&[])
}

pub fn passwords_from_files(demo: &Demo) -> Outcome {
    demo.down_with_data()?;
    let mut compose = demo.compose().file(checkout().join("docker/compose.secrets.yaml"));
    for (name, text) in [
        ("POSTGRES_PASSWORD_FILE", format!("{PASSWORD}\n")),
        ("LAB_PASSWORD_FILE", "lo:ok\\er\n".to_owned()),
        ("REPLICATION_PASSWORD_FILE", REPLICATION_PASSWORD.to_owned()),
    ] {
        let file = demo.path(name);
        std::fs::write(&file, text)?;
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600))?;
        compose = compose.env(name, file.to_string_lossy());
    }
    compose.up(&[])?;
    assert_wrong_passwords_are_refused(demo)?;
    crate::lab::comes_to_be_ok(demo, 30)?;
    crate::programs::wait("the page to be let in", 60, || {
        let roles = crate::page::roles(demo)?;
        require(roles.contains(&"postgres_replica_1 replica".to_owned()), format!("{roles:?}"))
    })?;
    for service in [demo.primary(), demo.replica(), demo.lab()] {
        let config = service.container()?.inspect("{{json .Config}}")?;
        for password in [PASSWORD, REPLICATION_PASSWORD] {
            // As it is, and as JSON has it.
            let quoted = serde_json::to_string(password)?;
            let shown = config.contains(password) || config.contains(quoted.trim_matches('"'));
            require(!shown, format!("docker inspect shows a password of {}", service.name))?;
        }
    }
    demo.down_with_data()
}
