//! Settings that cannot work, said in one line; and what heals without a hand.

use std::time::Instant;

use operations_lab::checks::{Outcome, same};

use crate::contents::{are_equal, jobs_tick_on};
use crate::demo::{Demo, now, took_at_most};

pub fn first_start_logs_no_error(demo: &Demo) -> Outcome {
    demo.down_with_data()?;
    demo.need()?;
    for service in [demo.primary(), demo.replica()] {
        let mut log = service.log()?;
        // Since 18 the server says so of each that is stopped with it.
        let stopped = r#"FATAL:  terminating background worker "pg_cron launcher" due to administrator command"#;
        // The lab looks at every server once a second, also at one that is just starting, and on a busy machine it gives up before the answer.
        let looked_at = |line: &str| {
            let expected = ["FATAL:  the database system is ", "FATAL:  connection to client lost"];
            line.contains(" operations_lab@") && expected.iter().any(|text| line.contains(text))
        };
        let lines = log.0.lines().filter(|line| !line.ends_with(stopped) && !looked_at(line));
        log.0 = lines.collect::<Vec<_>>().join("\n");
        for words in ["FATAL", "contains errors"] {
            log.does_not_say(&[words], service.name)?;
        }
    }
    // One that the server of the init files had begun, its stop might have cut short.
    let early = "select count(*) from cron.job_run_details where start_time < pg_catalog.pg_postmaster_start_time()";
    demo.primary().answers("runs of jobs before the server's start", early, "0")
}

pub fn other_names_than_those_of_the_data_are_refused(demo: &Demo) -> Outcome {
    demo.need()?;
    let began = Instant::now();
    let since = now()?;
    demo.compose().env("POSTGRES_DB", "other").try_up(&[])?.refused("the data are of another database")?;
    took_at_most(began, 60, "the refusal")?;
    demo.primary().log_since(&since)?.says(&["POSTGRES_DB=other, but the data", "operations_db: set it back"])?;
    demo.need()
}

pub fn rows_that_are_no_number_are_refused(demo: &Demo) -> Outcome {
    demo.need()?;
    let (began, since) = (Instant::now(), now()?);
    demo.compose().env("OPERATIONS_TEST_ROWS", "100k").try_up(&[])?.refused("100k is no number")?;
    took_at_most(began, 60, "the refusal")?;
    let log = demo.primary().log_since(&since)?;
    log.says(&["OPERATIONS_TEST_ROWS=100k is no number of rows: give a whole number from 0 to 10000000000"])?;
    same("lines that say so", &1, &log.0.matches("is no number of rows").count())?;
    demo.need()
}

pub fn a_batch_that_is_no_number_is_refused(demo: &Demo) -> Outcome {
    demo.need()?;
    let (began, since) = (Instant::now(), now()?);
    demo.compose().env("OPERATIONS_INSERT_BATCH", "0").try_up(&[])?.refused("no run inserts 0")?;
    took_at_most(began, 60, "the refusal")?;
    let log = demo.primary().log_since(&since)?;
    log.says(&["OPERATIONS_INSERT_BATCH=0 is no number of operations: give a whole number from 1 to 10000"])?;
    demo.need()
}

pub fn slot_lost_while_the_replica_runs_heals(demo: &Demo) -> Outcome {
    const CAP: [&str; 3] = [
        "ALTER SYSTEM SET max_slot_wal_keep_size = '32MB'",
        "ALTER SYSTEM SET wal_keep_size = 0",
        "SELECT pg_catalog.pg_reload_conf()",
    ];
    const NO_CAP: [&str; 3] = [
        "ALTER SYSTEM RESET max_slot_wal_keep_size",
        "ALTER SYSTEM RESET wal_keep_size",
        "SELECT pg_catalog.pg_reload_conf()",
    ];
    demo.need()?;
    let (primary, service, replica) = (demo.primary(), demo.replica(), demo.replica().container()?);
    let ask_all = |queries: [&str; 3]| queries.iter().try_for_each(|query| primary.ask(query).map(drop));
    ask_all(CAP)?;
    replica.disconnect()?;
    primary.ask("CALL public.operations_test_data('2025-08-01', '2025-11-30', 500000, 5)")?;
    let is_lost = "SELECT pg_catalog.bool_or(wal_status = 'lost') FROM pg_catalog.pg_replication_slots";
    crate::programs::wait("the slot to be lost", 60, || {
        primary.ask("SELECT pg_catalog.pg_switch_wal()")?;
        primary.ask("CHECKPOINT")?;
        primary.answers("the slot is lost", is_lost, "t")
    })?;
    let since = now()?;
    replica.reconnect(service.name)?;
    service.comes_to_say(&["stopping the server, for a new clone:"], 60)?;
    service.becomes("healthy", 120)?;
    same("starts of the container by Docker", "0", replica.inspect("{{.RestartCount}}")?.as_str())?;
    primary.log_since(&since)?.says(&["BASE_BACKUP"])?;
    ask_all(NO_CAP)?;
    are_equal(demo)?;
    // To compare so many rows has locked the table, and the jobs are late.
    primary.becomes("healthy", 60)
}

pub fn promoted_replica_lives_alone(demo: &Demo) -> Outcome {
    demo.need()?;
    let (service, replica) = (demo.replica(), demo.replica().container()?);
    demo.primary().container()?.kill()?;
    same("promoted", "t", replica.psql("SELECT pg_catalog.pg_promote()")?.as_str())?;
    service.becomes("healthy", 60)?;
    jobs_tick_on(service)?;
    replica.kill()?;
    replica.start()?;
    service.becomes("healthy", 60)?;
    service.answers("it is a primary", "SELECT pg_catalog.pg_is_in_recovery()", "f")?;
    demo.down_with_data()
}
