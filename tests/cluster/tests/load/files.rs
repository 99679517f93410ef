//! The files of a new month, which are written past the shared buffers: byte for byte what PostgreSQL itself writes.

use std::fs::File;
use std::io::IoSliceMut;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use operations_cluster::expect::{CONTENTS, run};
use operations_cluster::{DATABASE, Server, Stop, finish, text, value};
use operations_lab::server::Owner;
use postgres::Client;
use rustix::io::{Errno, ReadWriteFlags, preadv2};
use tempfile::TempDir;

use crate::common::{Dates, Loader, ROWS_A_MONTH, Strategy, expect_sound, primary};

const PAGE: usize = 8192;
const PAGE_HEADER: usize = 24;

#[test]
fn files_are_byte_for_byte_those_of_copy_freeze_and_create_index() {
    let server = primary().start().unwrap();
    let mut loader = Loader::new(&server);
    let dates = Dates::of(&mut loader.session);
    Strategy::New.prepare(&mut loader.session, &dates);
    assert_eq!(loader.call(&dates.statement(2 * ROWS_A_MONTH, "1, 2")), [Strategy::New.note(); 2]);
    let session = &mut loader.session;
    let (rows, partition) = (server.folder().join("rows"), &dates.partitions[0]);
    let rows = rows.display();
    run(
        session,
        &format!(
            "COPY (SELECT * FROM {partition} ORDER BY id) TO '{rows}' (FORMAT binary); \
             BEGIN; CREATE TABLE expected (LIKE operations INCLUDING STORAGE); \
             COPY expected FROM '{rows}' (FORMAT binary, FREEZE); \
             CREATE UNIQUE INDEX expected_date_id ON expected (operation_date, id); \
             CREATE INDEX expected_status_id ON expected (status, id); COMMIT; CHECKPOINT"
        ),
    );
    let indexes = format!(
        "SELECT string_agg(indexrelid::regclass::text, ' ' ORDER BY indnatts, indkey::text) FROM pg_index \
         WHERE indrelid = '{partition}'::regclass"
    );
    let indexes = text(session, &indexes).unwrap();
    let mut compared = 0;
    for (ours, theirs, what) in [(partition.as_str(), "expected", Contents::Rows)]
        .into_iter()
        .chain(indexes.split(' ').zip(["expected_date_id", "expected_status_id"]).map(|(a, b)| (a, b, Contents::Index)))
    {
        let (ours, theirs) = (file(session, ours, ""), file(session, theirs, ""));
        assert!(ours.len() > 40 * PAGE);
        // COPY grows a table by several pages at once: the last ones may be empty.
        assert!(theirs[ours.len()..].iter().all(|byte| *byte == 0));
        for (number, (ours, theirs)) in ours.chunks(PAGE).zip(theirs.chunks(PAGE)).enumerate() {
            assert!(masked(ours, what) == masked(theirs, what), "page {number} of {what:?} differs");
            compared += 1;
        }
    }
    assert!(compared > 1_000, "{compared} pages");
    let (ours, theirs) = (file(session, partition, "_vm"), file(session, "expected", "_vm"));
    assert_eq!(ours.len(), PAGE);
    assert!(ours[PAGE_HEADER..] == theirs[PAGE_HEADER..], "the visibility maps differ");
}

#[derive(Clone, Copy, Debug)]
enum Contents {
    Rows,
    Index,
}

/// A file of a relation.
fn file(session: &mut Client, relation: &str, fork: &str) -> Vec<u8> {
    value(session, &format!("SELECT pg_read_binary_file(pg_relation_filepath('{relation}') || '{fork}')")).unwrap()
}

/// A page without what says when it was written: its place in the WAL, its checksum, and of each row the transaction and the
/// command. The layout is that of bufpage.h and htup_details.h.
fn masked(page: &[u8], contents: Contents) -> Vec<u8> {
    let mut page = page.to_vec();
    page[..10].fill(0);
    if let Contents::Rows = contents {
        let lower = usize::from(u16::from_ne_bytes([page[12], page[13]]));
        for item in (PAGE_HEADER..lower).step_by(4) {
            let row = usize::from(u16::from_ne_bytes([page[item], page[item + 1]]) & 0x7FFF);
            page[row..row + 4].fill(0);
            page[row + 8..row + 12].fill(0);
        }
    }
    page
}

/// How much of a file, but for its end, can be read without the disk, by a sample.
fn part_in_page_cache(path: &Path) -> f64 {
    const EVERY: u64 = 131 * PAGE as u64;
    const END: u64 = 96 << 20;
    let file = File::open(path).unwrap();
    let offsets = (0..file.metadata().unwrap().len() - END).step_by(EVERY as usize);
    let count = offsets.clone().count();
    let is_cached = |offset: &u64| {
        let mut byte = [0];
        match preadv2(&file, &mut [IoSliceMut::new(&mut byte)], *offset, ReadWriteFlags::NOWAIT) {
            Ok(_) => true,
            Err(Errno::AGAIN) => false,
            Err(error) => panic!("read {} without waiting: {error}", path.display()),
        }
    };
    offsets.filter(is_cached).count() as f64 / count as f64
}

/// A machine that crashes loses what the kernel had not written to the disk. Here that is all.
#[test]
fn the_log_alone_brings_a_new_month_back() {
    let mut server = primary().setting("checkpoint_timeout", "1h").start().unwrap();
    for strategy in [Strategy::New, Strategy::Empty] {
        let mut loader = Loader::new(&server);
        let dates = Dates::of(&mut loader.session);
        strategy.prepare(&mut loader.session, &dates);
        run(&mut loader.session, "CHECKPOINT");
        assert_eq!(loader.call(&dates.statement(2 * ROWS_A_MONTH, "1, 2")), [strategy.note(); 2]);
        let before = text(&mut loader.session, CONTENTS).unwrap();
        let paths = format!(
            "SELECT array_agg(pg_relation_filepath(oid) || fork) FROM (VALUES (''), ('_vm')) AS f(fork), pg_class \
             WHERE relname ~ '^({})' AND relkind IN ('r', 'i') AND (relkind = 'r' OR fork = '')",
            dates.partitions.join("|")
        );
        let paths: Vec<String> = value(&mut loader.session, &paths).unwrap();
        assert_eq!(paths.len(), 2 * 4, "{paths:?}");
        server.kill_all().unwrap();
        for path in paths {
            File::options().write(true).open(server.data().join(path)).unwrap().set_len(0).unwrap();
        }
        server.start().unwrap();
        let mut session = server.session().unwrap();
        assert_eq!(text(&mut session, CONTENTS).unwrap(), before, "{strategy:?}");
        expect_sound(&mut session);
        let frozen = "SELECT bool_and(relallvisible = relpages) FROM pg_class WHERE relname = ANY ($1)";
        run(&mut session, "ANALYZE operations");
        assert!(session.query_one(frozen, &[&dates.partitions.as_slice()]).unwrap().get::<_, bool>(0), "{strategy:?}");
    }
}

/// A folder of the server's user on a disk: the server itself may be in memory, where all is in the page cache.
fn on_disk(server: &Server) -> TempDir {
    let disk = std::env::var_os("OPERATIONS_TEST_DISK").map_or_else(|| server.folder().to_owned(), PathBuf::from);
    let owner = std::fs::metadata(server.data()).unwrap();
    Owner::by_id(owner.uid(), owner.gid()).files(|| tempfile::tempdir_in(&disk)).unwrap()
}

#[test]
fn a_month_of_several_gigabyte_files_with_checksums_survives_a_crash_and_leaves_the_page_cache() {
    const ROWS: i64 = 3_000_000;
    // Without fsync PostgreSQL asks the kernel to write nothing, and it forgets only what is written.
    let mut server = primary().setting("fsync", "on").start().unwrap();
    server.stop(Stop::Fast).unwrap();
    let checksums = |server: &Server, mode: &str| {
        let mut program = server.client_program("pg_checksums", DATABASE).unwrap();
        program.arg(mode).arg("--pgdata").arg(server.data());
        finish(program).unwrap().success().unwrap()
    };
    checksums(&server, "--enable");
    server.start().unwrap();
    let mut loader = Loader::new(&server);
    let disk = on_disk(&server);
    run(&mut loader.session, &format!("CREATE TABLESPACE disk LOCATION '{}'", disk.path().display()));
    run(&mut loader.session, "SET default_tablespace = disk; SET effective_cache_size = '1GB'");
    let call = format!("CALL operations_test_data('2024-05-01', '2024-05-31', {ROWS}, 1)");
    assert_eq!(loader.call(&call), [Strategy::New.note()]);
    let session = &mut loader.session;
    let path: String = value(session, "SELECT pg_relation_filepath('operations_2024_05')").unwrap();
    for file in [path.clone(), format!("{path}.1")] {
        // What is there is what ANALYZE read.
        let cached = part_in_page_cache(&server.data().join(&file));
        assert!(cached < 0.6, "the kernel still has {cached} of {file}, which is more than it was said to keep");
    }
    let size = "SELECT pg_relation_size('operations_2024_05') > 1024 * 1024 * 1024";
    assert!(value::<bool>(session, size).unwrap(), "it all fits into one file");
    let totals = "SELECT count(*), sum(id), sum(hashtext(message::text)) FROM operations";
    let before = text(session, totals).unwrap();
    server.kill_all().unwrap();
    server.start().unwrap();
    let mut session = server.session().unwrap();
    assert_eq!(text(&mut session, totals).unwrap(), before);
    assert_eq!(value::<i64>(&mut session, "SELECT count(*) FROM operations").unwrap(), ROWS);
    expect_sound(&mut session);
    drop(session);
    server.stop(Stop::Fast).unwrap();
    let report = checksums(&server, "--check");
    assert!(report.contains("Bad checksums:  0"), "{report}");
}
