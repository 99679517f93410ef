//! What a caller has set in the session is the caller's choice, and nobody else's rights are used for it.

use operations_cluster::expect::run;
use operations_cluster::text;

use crate::lab::{Lab, MOLE, refused};

#[test]
fn the_tablespace_that_a_caller_prefers_is_not_used_by_the_right_of_the_owner() {
    let lab = Lab::new("settings_tablespace", MOLE);
    let mut superuser = lab.superuser();
    // With this setting a tablespace is a folder of PostgreSQL's own.
    for statement in ["SET allow_in_place_tablespaces = on", "CREATE TABLESPACE dear LOCATION ''"] {
        run(&mut superuser, statement);
    }
    run(
        &mut superuser,
        "GRANT EXECUTE ON ALL PROCEDURES IN SCHEMA public TO mole; CALL operations_maintain_partitions(4)",
    );
    let prefer = "SET default_tablespace = dear";
    assert_eq!(refused(&mut lab.attacker(), &format!("{prefer}; CREATE TABLE lair.mine (i int)")), "42501");
    let there =
        "SELECT count(*) FROM pg_class WHERE reltablespace = (SELECT oid FROM pg_tablespace WHERE spcname = 'dear')";
    // Who may use it has the months there.
    run(&mut superuser, &format!("BEGIN; {prefer}; CALL operations_maintain_partitions(5)"));
    assert_ne!(text(&mut superuser, there).unwrap(), "0");
    run(&mut superuser, "ROLLBACK");

    let this_month =
        "DO $$ BEGIN EXECUTE format('DROP TABLE %s', to_char(current_date, '\"operations_\"YYYY_MM')); END $$";
    run(&mut superuser, this_month);
    for call in [
        "CALL operation_insert_one()",
        "CALL operations_maintain_partitions(6)",
        "CALL operations_test_data('2024-01-01', '2024-01-31', 20000, 1, 1)",
        "CALL operations_test_data('2023-01-01', '2023-01-31', 100, 1, 1)",
    ] {
        run(&mut lab.attacker(), &format!("{prefer}; {call}"));
        assert_eq!(text(&mut superuser, there).unwrap(), "0", "{call}");
    }
    run(&mut superuser, "GRANT CREATE ON TABLESPACE dear TO mole");
    run(&mut lab.attacker(), &format!("{prefer}; CALL operations_maintain_partitions(7)"));
    assert_ne!(text(&mut superuser, there).unwrap(), "0", "a right of the caller's own");
}
