//! Faults of running servers, by their numbers in the list of faults that the demo must survive.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use operations_lab::checkout;
use operations_lab::checks::{Outcome, require, same};
use rustix::process::{Pid, Signal, kill_process};

use crate::contents::{
    DONE_ROWS, are_equal, at_least, jobs_tick, newest_run, no_run_failed_after, replica_comes_to_stream,
};
use crate::demo::{Demo, last_until, now, took_at_most};
use crate::lab::{comes_to_be_ok, comes_to_find, nothing_is_lost};
use crate::programs::wait;

/// Rows from one client as fast as it can, each id written down only after its commit, until the server goes.
struct Load {
    client: JoinHandle<()>,
    acknowledged: std::sync::mpsc::Receiver<i64>,
    ids: Vec<i64>,
}

impl Load {
    fn start(demo: &Demo) -> Outcome<Self> {
        let mut session = demo.primary().connect()?;
        let insert = session.prepare(
            "INSERT INTO public.operations (operation_date, operation_guid, client_id, operation_type, amount, message)
             VALUES (current_date, pg_catalog.gen_random_uuid(), 1, 'online', 1, '{}') RETURNING id",
        )?;
        let (sender, acknowledged) = std::sync::mpsc::channel();
        let client = std::thread::spawn(move || {
            while let Ok(row) = session.query_one(&insert, &[]) {
                if sender.send(row.get(0)).is_err() {
                    break;
                }
            }
        });
        let mut load = Self { client, acknowledged, ids: Vec::new() };
        wait("the first thousand rows", 20, || {
            load.ids.extend(load.acknowledged.try_iter());
            if load.ids.len() >= 1_000 { Ok(()) } else { Err(format!("{} rows", load.ids.len()).into()) }
        })?;
        Ok(load)
    }

    /// The ids that the client was told are committed, once it has lost its server.
    fn end(mut self) -> Outcome<Vec<i64>> {
        wait("the client to lose its server", 20, || match self.client.is_finished() {
            true => Ok(()),
            false => Err("it inserts".into()),
        })?;
        self.ids.extend(self.acknowledged.iter());
        Ok(self.ids)
    }
}

pub fn r1_primary_killed_under_load(demo: &Demo) -> Outcome {
    demo.need()?;
    let primary = demo.primary();
    let timeline = || primary.ask("SELECT timeline_id FROM pg_catalog.pg_control_checkpoint()");
    let (before, done) = (timeline()?, primary.ask(DONE_ROWS)?);
    let load = Load::start(demo)?;
    let postmaster = Pid::from_raw(primary.container()?.postmaster()?).ok_or("the primary has no process")?;
    kill_process(postmaster, Signal::KILL)?;
    let acknowledged = load.end()?;
    primary.comes_to_answer("the primary to be back", "SELECT 1", "1", 60)?;
    replica_comes_to_stream(demo, 15)?;
    same("timeline", &before, &timeline()?)?;
    at_least(demo, DONE_ROWS, &done)?;
    let gone = primary.connect()?.query_one(
        "SELECT pg_catalog.count(*) FROM pg_catalog.unnest($1::bigint[]) AS acknowledged (id)
         WHERE NOT EXISTS (SELECT FROM public.operations AS o WHERE o.id = acknowledged.id)",
        &[&acknowledged],
    )?;
    same(format!("of {} acknowledged rows are gone", acknowledged.len()), &0_i64, &gone.try_get(0)?)?;
    jobs_tick(demo)?;
    are_equal(demo)
}

pub fn idle_job_is_noticed(demo: &Demo) -> Outcome {
    demo.need()?;
    let primary = demo.primary();
    let make_active = |active: bool| {
        primary.ask(&format!(
            "SELECT cron.alter_job(jobid, active => {active}) FROM cron.job WHERE jobname = 'change_status'"
        ))
    };
    make_active(false)?;
    primary.becomes("unhealthy", 30)?;
    primary.log()?.has_line_that_begins("health: job_inactive: the job change_status")?;
    make_active(true)?;
    primary.becomes("healthy", 30)
}

pub fn busy_server_that_tells_its_sums_later_is_healthy(demo: &Demo) -> Outcome {
    // What the healthcheck has to say of the sums, after a look at them and a word from before.
    const LOOK: &str = r#". "$0" && user=$POSTGRES_USER password=$POSTGRES_PASSWORD
        printf 'said before' >"$last_sums" && look_at_sums sums.sql "$(own_address)" && cat "$last_sums""#;
    const REPORT: &str = "/usr/local/lib/operations/healthchecks/report.sh";
    demo.need()?;
    let primary = demo.primary().container()?;
    let look = || primary.exec("root", &["bash", "-c", LOOK, REPORT]);
    let mut session = demo.primary().connect()?;
    let mut transaction = session.transaction()?;
    transaction.batch_execute("LOCK TABLE public.operations_rollup")?;
    let late = look()?;
    transaction.rollback()?;
    same("while the sums are locked", "said before", late.as_str())?;
    wait("the server to tell its sums", 60, || same("what is wrong with them", "", look()?.as_str()))
}

pub fn r3_replica_killed_for_a_minute(demo: &Demo) -> Outcome {
    demo.need()?;
    let replica = demo.replica().container()?;
    replica.kill()?;
    last_until(Instant::now() + Duration::from_secs(60));
    let since = now()?;
    replica.start()?;
    replica_comes_to_stream(demo, 60)?;
    demo.primary().log_since(&since)?.does_not_say(&["BASE_BACKUP"], "the replica was cloned anew")?;
    are_equal(demo)?;
    demo.replica().becomes("healthy", 30)
}

pub fn r7_network_cut_for_half_a_minute(demo: &Demo) -> Outcome {
    demo.need()?;
    let (service, replica) = (demo.replica(), demo.replica().container()?);
    replica.disconnect()?;
    let cut = Instant::now();
    let seen = service.becomes("unhealthy", 20);
    println!(
        "        the alarm came {} s after the cut; docker ps says: {}",
        cut.elapsed().as_secs(),
        demo.status(service)?
    );
    last_until(cut + Duration::from_secs(30));
    replica.reconnect(service.name)?;
    seen?;
    replica_comes_to_stream(demo, 60)?;
    service.becomes("healthy", 30)?;
    replica.log()?.has_line_that_begins("health: receiver_")?;
    are_equal(demo)
}

/// The disk of the primary's data and WAL is full, and later there is room again.
pub fn r9_disk_full(demo: &Demo) -> Outcome {
    demo.down_with_data()?;
    demo.compose().file(checkout().join("tests/compose/small-disk.yaml")).up(&[])?;
    comes_to_be_ok(demo, 60)?;
    let (service, primary) = (demo.primary(), demo.primary().container()?);
    let fill = "dd if=/dev/zero of=/var/lib/postgresql/data/filler bs=1M 2>&1";
    require(!primary.try_exec("postgres", &["sh", "-c", fill])?.success, "the disk is not full")?;
    let report = comes_to_find(demo, "disk_low", "primary postgres_primary", 20)?;
    require(report.starts_with("broken: "), report)?;
    service.becomes("unhealthy", 90)?;
    println!("        docker ps says: {}; the doctor: {}", demo.status(service)?, demo.headline()?);
    // Its container may be between two starts.
    let lab = demo.lab().container()?;
    lab.exec("postgres", &["rm", "/servers/primary/filler"])?;
    comes_to_be_ok(demo, 150)?;
    service.becomes("healthy", 60)?;
    nothing_is_lost(demo)?;
    demo.down_with_data()
}

/// The stop waits for a run that takes seconds, as any may on a busy machine.
pub fn r14_stop_while_jobs_run(demo: &Demo) -> Outcome {
    demo.need()?;
    let primary = demo.primary();
    let newest = newest_run(primary)?;
    primary.ask("SELECT cron.schedule('slow', '20 seconds', 'SELECT pg_catalog.pg_sleep(6)')")?;
    let slow = format!("FROM cron.job_run_details WHERE command ~ 'pg_sleep' AND runid > {newest}");
    primary.comes_to_answer(
        "a slow run to begin",
        &format!("SELECT coalesce(pg_catalog.min(status), '') {slow}"),
        "running",
        30,
    )?;
    let (since, began) = (now()?, Instant::now());
    // By itself first: Compose stops before it what depends on it, and the slow run would be over by then.
    demo.compose().run(&["stop", primary.name])?;
    demo.compose().run(&["stop"])?;
    took_at_most(began, 30, "the stop")?;
    for service in [primary, demo.replica()] {
        let container = service.container()?;
        same(format!("exit code of {}", service.name), "0", container.inspect("{{.State.ExitCode}}")?.as_str())?;
        container.log_since(&since)?.says(&["database system is shut down"])?;
    }
    demo.compose().up(&[])?;
    let first = format!("SELECT status, end_time > pg_catalog.to_timestamp({since}) {slow} ORDER BY runid LIMIT 1");
    primary.answers("the slow run, and whether it was under way", &first, "succeeded|t")?;
    no_run_failed_after(primary, &newest)?;
    // Not unscheduled during a run, which would be recorded as failed.
    primary.comes_to_answer(
        "no slow run",
        &format!("SELECT pg_catalog.count(*) {slow} AND status <> 'succeeded'"),
        "0",
        20,
    )?;
    primary.ask("SELECT cron.unschedule('slow')")?;
    jobs_tick(demo)
}
