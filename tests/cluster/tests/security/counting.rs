//! The function that counts changes writes past the rights of the writer. It does so for `operations` alone.

use operations_cluster::expect::run;
use operations_cluster::{db_error, text};

use crate::lab::{Lab, MALLORY};

const DELTAS: &str = "SELECT count(*) FROM operations_delta";

/// A table of the attacker's with the columns that count.
const TABLE: &str = "CREATE TABLE lair.mine (operation_date date, client_id int, operation_type public.operation_type_enum, \
                     amount numeric, status smallint)";

const ROW: &str = "INSERT INTO lair.mine VALUES ('2025-08-01', 1, 'online', 1, 1)";

#[test]
fn it_counts_nothing_of_a_table_of_ones_own() {
    let lab = Lab::new("counting", MALLORY);
    let mut superuser = lab.superuser();
    // Where it is to count it does.
    let count = "BEGIN; DELETE FROM operations_delta; UPDATE operations SET status = 1 WHERE id = (SELECT max(id) FROM operations)";
    run(&mut superuser, count);
    assert_eq!(text(&mut superuser, DELTAS).unwrap(), "1");
    run(&mut superuser, "ROLLBACK");
    let before = text(&mut superuser, DELTAS).unwrap();

    let trigger = "AFTER INSERT ON lair.mine FOR EACH ROW EXECUTE FUNCTION public.operations_count_change()";
    let partition = "CREATE TABLE lair.mine PARTITION OF lair.parent DEFAULT";
    let parent = TABLE.replace("lair.mine", "lair.parent") + " PARTITION BY RANGE (operation_date)";
    for table in [
        format!("{TABLE}; CREATE TRIGGER t {trigger}"),
        format!("{TABLE}; CREATE CONSTRAINT TRIGGER t {}", trigger.replace("FOR", "DEFERRABLE INITIALLY DEFERRED FOR")),
        format!("{TABLE}; CREATE TRIGGER t {}", trigger.replace("AFTER", "BEFORE")),
        format!("{TABLE}; CREATE TRIGGER t {}", trigger.replace("FOR EACH ROW", "FOR EACH STATEMENT")),
        format!("{parent}; {partition}; CREATE TRIGGER t {trigger}"),
    ] {
        let mut attacker = lab.attacker();
        // To make the trigger may be refused already.
        let error = db_error(attacker.batch_execute(&format!("{table}; {ROW}")));
        assert!(error.is_some(), "{table}: a row was taken");
        assert_eq!(text(&mut superuser, DELTAS).unwrap(), before, "{table}");
        run(&mut attacker, "DROP TABLE IF EXISTS lair.mine, lair.parent");
    }
    for call in
        ["SELECT public.operations_count_change()", "DO $$ BEGIN PERFORM public.operations_count_change(); END $$"]
    {
        assert!(db_error(lab.attacker().batch_execute(call)).is_some(), "{call}");
    }
    assert_eq!(text(&mut superuser, DELTAS).unwrap(), before);
}

/// While it is being detached, a partition is the root of its tree, as one of `operations` is that older snapshots still see.
#[test]
fn it_counts_nothing_of_a_partition_of_ones_own_that_is_being_detached() {
    let lab = Lab::new("counting_detached", MALLORY);
    let mut superuser = lab.superuser();
    let before = text(&mut superuser, DELTAS).unwrap();
    let parent = TABLE.replace("lair.mine", "lair.parent") + " PARTITION BY RANGE (operation_date)";
    let partition = "CREATE TABLE lair.mine PARTITION OF lair.parent FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')";
    run(&mut lab.attacker(), &format!("{parent}; {partition}"));
    // The second half waits for whoever uses the parent, and is cut off; the first half stays.
    let mut holder = lab.attacker();
    run(&mut holder, "BEGIN; SELECT FROM lair.parent");
    let mut detacher = lab.attacker();
    run(&mut detacher, "SET lock_timeout = '500ms'");
    let cut_off = db_error(detacher.batch_execute("ALTER TABLE lair.parent DETACH PARTITION lair.mine CONCURRENTLY"));
    assert_eq!(cut_off.unwrap().code().code(), "55P03");
    let pending = "SELECT inhdetachpending FROM pg_inherits WHERE inhrelid = 'lair.mine'::regclass";
    assert_eq!(text(&mut superuser, pending).unwrap(), "t");
    run(&mut holder, "COMMIT");
    let trigger =
        "CREATE TRIGGER t AFTER INSERT ON lair.mine FOR EACH ROW EXECUTE FUNCTION public.operations_count_change()";
    let outcome = lab.attacker().batch_execute(&format!("{trigger}; {ROW}")).err().map(|error| error.to_string());
    assert_eq!(text(&mut superuser, DELTAS).unwrap(), before, "a role without any right wrote deltas: {outcome:?}");
}
