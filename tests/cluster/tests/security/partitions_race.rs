//! What a new owner of an empty partition puts on it while a load into it is under way.

use operations_cluster::expect::{run, wait_blocked};
use operations_cluster::{SUPERUSER, text, value};

use crate::lab::{Lab, MOLE, Sprung};

/// A load finds the partition as it should be, fills a table beside it, and waits; meanwhile the partition gets another owner, and
/// what that one likes; then the rows would go there one by one.
fn race(name: &str, trap: &str, armed: &str) {
    let mut lab = Lab::new(name, MOLE);
    let mut superuser = lab.superuser();
    run(
        &mut superuser,
        "GRANT EXECUTE ON PROCEDURE operations_test_data(date, date, bigint, bigint, integer) TO mole; \
         CALL operations_maintain_partitions(8)",
    );
    // The last month there is: empty.
    let month = "SELECT max(inhrelid::regclass::text) FROM pg_inherits WHERE inhparent = 'operations'::regclass";
    let month = text(&mut superuser, month).unwrap();
    let bounds = format!("SELECT to_date('{month}', '\"operations\"_YYYY_MM')::text");
    let day = text(&mut superuser, &bounds).unwrap();
    run(&mut superuser, &format!("GRANT CREATE ON SCHEMA public TO mole; ALTER TABLE {month} OWNER TO mole"));

    let insert = format!(
        "INSERT INTO operations (operation_date, operation_guid, client_id, operation_type, amount, message) \
         VALUES ('{day}', gen_random_uuid(), 1, 'online', 1, '{{}}')"
    );
    let put = trap.replace("@month@", &month);
    run(&mut lab.attacker(), &put);
    lab.expect_armed(&format!("BEGIN; {insert}; ROLLBACK"), &[armed]);
    run(&mut lab.attacker(), &take_away(&put, &month));
    // Into a partition without a page a load does not write at once.
    run(&mut superuser, &format!("TRUNCATE {month}; ALTER TABLE {month} OWNER TO {SUPERUSER}"));

    run(&mut superuser, "BEGIN; LOCK TABLE ONLY operations IN SHARE UPDATE EXCLUSIVE MODE");
    let mut loader = lab.attacker();
    let pid = value::<i32>(&mut loader, "SELECT pg_backend_pid()").unwrap();
    let call = format!("CALL operations_test_data('{day}', '{day}', 20000, 1, 1)");
    let load = std::thread::spawn(move || loader.batch_execute(&call).err());
    wait_blocked(lab.server(), &[pid]);
    run(&mut lab.superuser(), &format!("ALTER TABLE {month} OWNER TO mole"));
    run(&mut lab.attacker(), &put);
    lab.sprung();
    run(&mut superuser, "COMMIT");
    let error = load.join().unwrap();
    let sprung = lab.sprung();
    let lent = Sprung { trap: armed.to_owned(), role: SUPERUSER.to_owned() };
    assert!(!sprung.contains(&lent), "ran as the owner of operations: {sprung:?}, the load: {error:?}");
    let code = error.and_then(|error| error.code().map(|code| code.code().to_owned()));
    assert_eq!(code.as_deref(), Some("42501"), "the load is refused");
}

/// What takes away again what was put on the partition.
fn take_away(put: &str, month: &str) -> String {
    if put.starts_with("CREATE TRIGGER") {
        format!("DROP TRIGGER a_trigger ON {month}")
    } else {
        format!("ALTER TABLE {month} DROP CONSTRAINT a_check")
    }
}

#[test]
fn a_trigger_made_during_a_load_does_not_run_as_the_owner_of_operations() {
    let trap = "CREATE TRIGGER a_trigger BEFORE INSERT ON @month@ FOR EACH ROW EXECUTE FUNCTION lair.spring_trigger()";
    race("race_trigger", trap, "trigger a_trigger");
}

#[test]
fn a_check_made_during_a_load_does_not_run_as_the_owner_of_operations() {
    let trap = "ALTER TABLE @month@ ADD CONSTRAINT a_check CHECK (client_id + lair.spring('check') > 0)";
    race("race_check", trap, "check");
}
