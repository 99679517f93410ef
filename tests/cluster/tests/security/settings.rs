//! What a caller has set in the session is the caller's choice, and nobody else's rights are used for it.

use operations_cluster::expect::{major, run};
use operations_cluster::{SUPERUSER, text};

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

/// ANALYZE calls the functions of the owner's statistics as the owner. What these call without a schema is not to be the caller's.
#[test]
fn the_search_path_of_a_caller_is_not_that_of_the_owners_statistics() {
    let mut lab = Lab::new("settings_analyze", MOLE);
    run(
        &mut lab.superuser(),
        "GRANT EXECUTE ON ALL PROCEDURES IN SCHEMA public TO mole; \
         CREATE FUNCTION bucket(client int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS \
             $$ BEGIN RETURN client + spring('statistics'); EXCEPTION WHEN undefined_function THEN RETURN 1; END $$; \
         CREATE STATISTICS own ON (bucket(client_id)), amount FROM operations_2025_08",
    );
    let call = "CALL public.operations_test_data('2025-08-01', '2025-08-31', 20000, 1, 1)";
    // Since then ANALYZE sees to it itself.
    if major() < 17 {
        lab.expect_armed("SET search_path = lair; ANALYZE public.operations_2025_08", &["statistics"]);
    }
    let breaches = lab.breaches(MOLE, &[&format!("SET search_path = lair; {call}")]);
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

/// The owner of a partition has it read with the owner's rights, and then come those of others.
#[test]
fn what_the_owner_of_one_partition_sets_is_not_set_for_the_next() {
    let mut lab = Lab::new("settings_partition", MOLE);
    let month = "CREATE FUNCTION lair.poison() RETURNS int LANGUAGE plpgsql IMMUTABLE AS \
            $$ BEGIN PERFORM set_config('search_path', 'lair, pg_catalog', false); RETURN 1; END $$; \
        CREATE FUNCTION lair.add(sum numeric, amount numeric) RETURNS numeric LANGUAGE sql AS \
            $$ SELECT lair.spring('sum')::numeric $$; \
        CREATE AGGREGATE lair.sum(numeric) (SFUNC = lair.add, STYPE = numeric); \
        CREATE TABLE lair.month (LIKE public.operations INCLUDING DEFAULTS INCLUDING CONSTRAINTS); \
        CREATE INDEX ON lair.month ((client_id + lair.poison()))";
    run(&mut lab.attacker(), month);
    run(
        &mut lab.superuser(),
        "GRANT EXECUTE ON FUNCTION operations_verify_rollup(boolean) TO mole; \
         ALTER TABLE operations ATTACH PARTITION lair.month FOR VALUES FROM ('2025-07-01') TO ('2025-08-01')",
    );
    // It comes before those of others, and would count for what is read next.
    let next = "SELECT sum(amount) FROM public.operations_2025_08 WHERE status = 1";
    let mut superuser = lab.superuser();
    run(&mut superuser, "SELECT count(*) FROM lair.month WHERE client_id = 1");
    lab.sprung();
    run(&mut superuser, next);
    assert!(lab.sprung().iter().any(|sprung| sprung.trap == "sum"), "the trap works");
    for role in [SUPERUSER, MOLE] {
        for call in
            ["SELECT * FROM public.operations_verify_rollup()", "SELECT * FROM public.operations_verify_rollup(true)"]
        {
            let _refused = lab.session(role).batch_execute(call);
            let sprung: Vec<_> = lab.sprung().into_iter().filter(|sprung| sprung.role == SUPERUSER).collect();
            assert_eq!(sprung, [], "{role}: {call}");
        }
    }
}
