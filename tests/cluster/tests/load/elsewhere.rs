//! What others get of a load: who watches it, replicas, logical decoding, the disk.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::Command;

use operations_cluster::expect::{CONTENTS, SOON, expect_equal, major, run, skipped};
use operations_cluster::{DATABASE, SUPERUSER, Server, Stop, db_error, finish, text, value, wait_until};

use crate::common::{
    Dates, LEFT_OVER, Load, Loader, ROWS_A_MONTH, Strategy, expect_sound, primary, seen, wait_for_load,
};

#[test]
fn progress_is_shown_from_first_to_last() {
    let server = primary().start().unwrap();
    let mut session = server.session().unwrap();
    let dates = Dates::of(&mut session);
    let rows = 600_000;
    for (strategy, workers, phases) in [
        (Strategy::New, 2, ["inserting rows", "building indexes"]),
        (Strategy::Full, 2, ["inserting rows", "inserting rows"]),
        (Strategy::Copy, 1, ["copying rows", "copying rows"]),
    ] {
        strategy.prepare(&mut session, &dates);
        assert_eq!(text(&mut session, "TABLE operations_load_progress").unwrap(), "");
        let begun: std::time::SystemTime = value(&mut session, "SELECT clock_timestamp()").unwrap();
        let load = Load::start(&server, "", dates.statement(rows, &format!("1, {workers}")));
        let pid = load.pid;
        let (mut all, mut copies, mut months) = (Vec::new(), Vec::new(), Vec::new());
        wait_until("the load to end", SOON, || {
            if let Some(seen) = seen(&mut session, pid) {
                all.push(seen);
            }
            let copy = "SELECT tuples_processed FROM pg_stat_progress_copy \
                        WHERE pid = $1 AND relid = 'operations'::regclass AND command = 'COPY FROM'";
            copies.extend(session.query_opt(copy, &[&pid]).unwrap().map(|row| row.get::<_, i64>(0)));
            let month = "SELECT month, started_at BETWEEN $2 AND clock_timestamp() FROM operations_load_progress WHERE pid = $1";
            if let Some(row) = session.query_opt(month, &[&pid, &begun]).unwrap() {
                assert!(row.get::<_, bool>(1), "{strategy:?}");
                months.extend(row.get::<_, Option<String>>(0));
            }
            if load.is_over() { Ok(()) } else { Err(format!("{:?}", all.last())) }
        });
        load.succeed();
        for phase in phases {
            assert!(all.iter().any(|seen| seen.phase == phase), "{strategy:?}: {phase} of {all:?}");
        }
        assert!(all.iter().all(|seen| seen.rows_total == rows), "{strategy:?}: {all:?}");
        assert!(all.windows(2).all(|pair| pair[0].rows_done <= pair[1].rows_done), "{strategy:?}: {all:?}");
        let steps = all.windows(2).filter(|pair| pair[0].rows_done < pair[1].rows_done).count();
        assert!(steps >= 3, "{strategy:?}: {all:?}");
        assert!(all.iter().all(|seen| seen.rows_done <= rows), "{strategy:?}: {all:?}");
        assert!(all.iter().all(|seen| seen.workers.len() < workers), "{strategy:?}: {all:?}");
        if workers > 1 {
            let both = |seen: &&crate::common::Seen| seen.processes == 2 && seen.workers.len() == 1;
            assert!(all.iter().filter(both).count() > 0, "{strategy:?}: {all:?}");
        }
        assert!(copies.windows(2).all(|pair| pair[0] <= pair[1]), "{strategy:?}: {copies:?}");
        assert!(copies.iter().any(|done| (1..rows).contains(done)), "{strategy:?}: {copies:?}");
        let known = dates.partitions.each_ref().map(|name| name["operations_".len()..].replace('_', "-"));
        assert!(!months.is_empty() && months.iter().all(|month| known.contains(month)), "{strategy:?}: {months:?}");
        expect_sound(&mut session);
    }
    // Nor after an error.
    let error = db_error(
        session
            .batch_execute("SET statement_timeout = 1; CALL operations_test_data('2025-01-01', '2025-02-01', 9000000)"),
    );
    assert!(error.is_some());
    run(&mut session, "RESET ALL");
    assert_eq!(text(&mut session, "TABLE operations_load_progress").unwrap(), "");
}

#[test]
fn a_replica_has_the_same_and_its_readers_go_on() {
    let primary = primary().start().unwrap();
    // Whoever is in the way of what is replayed is cancelled at once.
    let replica = primary.replica().setting("max_standby_streaming_delay", "0").start().unwrap();
    let mut session = Loader::new(&primary);
    let dates = Dates::of(&mut session.session);
    for strategy in [Strategy::New, Strategy::Empty, Strategy::Grown, Strategy::Full, Strategy::Copy] {
        strategy.prepare(&mut session.session, &dates);
        primary.wait_for_catchup(&replica).unwrap();
        let mut reader = (strategy == Strategy::New).then(|| replica.session().unwrap());
        if let Some(reader) = &mut reader {
            run(reader, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM operations");
        }
        assert_eq!(session.call(&dates.statement(2 * ROWS_A_MONTH, "1, 3")), [strategy.note(); 2]);
        primary.wait_for_catchup(&replica).unwrap();
        if let Some(reader) = &mut reader {
            run(reader, "SELECT count(*) FROM operations; COMMIT");
        }
        expect_equal(&primary, &replica);
    }
}

#[test]
fn a_replica_that_is_cloned_during_a_load_has_all_of_it() {
    let primary = primary().start().unwrap();
    let mut watcher = primary.session().unwrap();
    for seed in 1..=2 {
        let load = Load::start(
            &primary,
            "",
            format!("CALL operations_test_data('2024-01-01', '2024-04-30', 1500000, {seed}, 2)"),
        );
        let reached = wait_for_load(&load, &mut watcher, |seen| seen.rows_done > 100_000);
        assert!(reached.is_some(), "the load was over before the clone began");
        let replica = primary.replica().start().unwrap();
        load.succeed();
        expect_equal(&primary, &replica);
        drop(replica);
        run(&mut watcher, "TRUNCATE operations");
    }
}

#[test]
fn a_server_that_logs_little_keeps_what_was_committed() {
    let mut server = primary().setting("wal_level", "minimal").setting("max_wal_senders", "0").start().unwrap();
    for strategy in [Strategy::New, Strategy::Empty, Strategy::Grown, Strategy::Full, Strategy::Copy] {
        let mut loader = Loader::new(&server);
        let dates = Dates::of(&mut loader.session);
        strategy.prepare(&mut loader.session, &dates);
        assert_eq!(loader.call(&dates.statement(2 * ROWS_A_MONTH, "1, 3")), [strategy.note(); 2]);
        let before = text(&mut loader.session, CONTENTS).unwrap();
        server.kill_all().unwrap();
        server.start().unwrap();
        let mut session = server.session().unwrap();
        assert_eq!(text(&mut session, CONTENTS).unwrap(), before, "{strategy:?}");
        expect_sound(&mut session);
    }
}

#[test]
fn a_logical_decoder_gets_each_row_as_one_of_a_partition() {
    let server = primary().setting("wal_level", "logical").start().unwrap();
    let mut loader = Loader::new(&server);
    let dates = Dates::of(&mut loader.session);
    run(&mut loader.session, "CREATE PUBLICATION everything FOR ALL TABLES");
    run(&mut loader.session, "SELECT pg_create_logical_replication_slot('decoder', 'pgoutput')");
    for (strategy, note) in [
        (Strategy::New, "in place, indexes rebuilt"),
        (Strategy::Empty, "in place, indexes rebuilt"),
        (Strategy::Grown, "in place, indexes rebuilt"),
        (Strategy::Full, "in place"),
    ] {
        strategy.prepare(&mut loader.session, &dates);
        run(&mut loader.session, "SELECT pg_replication_slot_advance('decoder', pg_current_wal_lsn())");
        assert_eq!(loader.call(&dates.statement(2 * ROWS_A_MONTH, "1, 3")), [note; 2], "{strategy:?}");
        // An INSERT begins with I and the OID of the table.
        let decoded = "WITH i AS (SELECT ('x' || encode(substr(data, 2, 4), 'hex'))::bit(32)::int::oid AS r \
                                  FROM pg_logical_slot_get_binary_changes('decoder', NULL, NULL, 'proto_version', '1', \
                                                                          'publication_names', 'everything') \
                                  WHERE get_byte(data, 0) = ascii('I')) \
                       SELECT count(*), count(*) FILTER (WHERE r IN (SELECT inhrelid FROM pg_inherits \
                                                                     WHERE inhparent = 'operations'::regclass)) FROM i";
        let all = 2 * ROWS_A_MONTH;
        assert_eq!(text(&mut loader.session, decoded).unwrap(), format!("{all}|{all}"), "{strategy:?}");
        expect_sound(&mut loader.session);
    }
}

/// With `old_snapshot_threshold` rows may be gone that an old snapshot is to see. Indexes that miss them are not for such a
/// snapshot: PostgreSQL marks those that it rebuilds, and a load leaves them as they are.
#[test]
fn where_old_snapshots_are_given_up_no_index_is_rebuilt() {
    if major() >= 17 {
        return skipped("where_old_snapshots_are_given_up_no_index_is_rebuilt", "since PostgreSQL 17 none are");
    }
    let server = primary().setting("old_snapshot_threshold", "1h").start().unwrap();
    let mut loader = Loader::new(&server);
    let dates = Dates::of(&mut loader.session);
    for (strategy, note) in [(Strategy::Empty, Strategy::Empty.note()), (Strategy::Grown, Strategy::Full.note())] {
        strategy.prepare(&mut loader.session, &dates);
        assert_eq!(loader.call(&dates.statement(2 * ROWS_A_MONTH, "1, 3")), [note; 2], "{strategy:?}");
        expect_sound(&mut loader.session);
    }
}

/// A file system in memory, until it is dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn new(server: &Server, megabytes: u32) -> Result<Self, String> {
        let path = server.folder().join("disk");
        std::fs::create_dir(&path).unwrap();
        let owner = std::fs::metadata(server.data()).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o"]);
        mount.arg(format!("size={megabytes}m,mode=700,uid={},gid={}", owner.uid(), owner.gid()));
        mount.arg("tmpfs").arg(&path);
        match finish(mount).and_then(|mount| mount.success()) {
            Ok(_) => Ok(Self(path)),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let mut umount = Command::new("umount");
        umount.arg("--lazy").arg(&self.0);
        if let Err(error) = finish(umount).and_then(|umount| umount.success()) {
            eprintln!("{error}");
        }
    }
}

#[test]
fn a_full_disk_fails_the_load_and_nothing_else() {
    let mut server = primary().start().unwrap();
    let disk = match SmallDisk::new(&server, 48) {
        Ok(disk) => disk,
        Err(error) => {
            skipped("a_full_disk_fails_the_load_and_nothing_else", &format!("nothing can be mounted here: {error}"));
            return;
        }
    };
    let mut admin = server.session().unwrap();
    run(&mut admin, &format!("CREATE TABLESPACE small LOCATION '{}'", disk.0.display()));
    run(&mut admin, "CREATE DATABASE little TEMPLATE template0 TABLESPACE small");
    drop(admin);
    let mut loader = Loader::of(&server, SUPERUSER, "little");
    run(&mut loader.session, "CREATE EXTENSION operations_ext; CALL operations_setup()");
    let dates = Dates::of(&mut loader.session);
    let ballast = disk.0.join("ballast");
    for strategy in [Strategy::New, Strategy::Empty, Strategy::Grown] {
        strategy.prepare(&mut loader.session, &dates);
        std::fs::write(&ballast, vec![0; 2 << 20]).unwrap();
        let before = text(&mut loader.session, CONTENTS).unwrap();
        let files = "SELECT md5(string_agg(format('%s %s', relname, relfilenode), ' ' ORDER BY oid)) FROM pg_class \
                     WHERE relnamespace = 'public'::regnamespace";
        let files_before = text(&mut loader.session, files).unwrap();
        let error = db_error(loader.session.batch_execute(&dates.statement(400_000, "1, 3"))).unwrap();
        assert_eq!(error.code().code(), "53100", "{strategy:?}: {error:?}");
        assert_eq!(text(&mut loader.session, CONTENTS).unwrap(), before, "{strategy:?}");
        assert_eq!(text(&mut loader.session, files).unwrap(), files_before, "{strategy:?}");
        assert_eq!(text(&mut loader.session, LEFT_OVER).unwrap(), "", "{strategy:?}");
        // What the load had written is given back, so that a smaller one fits. In place the pages stay, and to drop the table
        // takes room in the catalogs.
        std::fs::remove_file(&ballast).unwrap();
        strategy.prepare(&mut loader.session, &dates);
        loader.call(&dates.statement(20_000, "2, 3"));
        expect_sound(&mut loader.session);
    }
    let mut other = server.connect(DATABASE).unwrap();
    run(&mut other, "CALL operation_insert_one()");
    assert_eq!(value::<i64>(&mut other, "SELECT count(*) FROM operations").unwrap(), 1);
    drop((loader, other));
    server.stop(Stop::Fast).unwrap();
}

/// Memory of a process that is its own, in kilobytes: not what is shared.
fn own_memory(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn memory_does_not_grow_with_the_rows() {
    let server = primary().start().unwrap();
    let mut watcher = server.session().unwrap();
    // In a new month, and row by row in the same month.
    for strategy in ["new", "full"] {
        let load =
            Load::start(&server, "", "CALL operations_test_data('2024-05-01', '2024-05-31', 2000000, 1, 1)".to_owned());
        let early = wait_for_load(&load, &mut watcher, |seen| seen.rows_done > 200_000).map(|_| own_memory(load.pid));
        let late = wait_for_load(&load, &mut watcher, |seen| seen.rows_done > 1_700_000).map(|_| own_memory(load.pid));
        let (early, late) = (early.unwrap(), late.unwrap());
        assert!(late < early + 4_000, "{strategy}: {early} kB, and 1.5 million rows later {late} kB");
        load.end().unwrap();
    }
}
