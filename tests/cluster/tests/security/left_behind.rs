//! What the code of an owner does while it is run with that owner's rights in the session of somebody else: it leaves nothing there
//! that would run later, at the commit or after, with the rights of that session, and gets no rights back that were put aside.

use operations_cluster::expect::run;
use operations_cluster::{SUPERUSER, text};

use crate::lab::{Lab, MALLORY};

/// The view calls it. Of what it tries, it tells what it could do, and as whom.
const ACT: &str = "CREATE TABLE lair.deferred (i int); \
    CREATE CONSTRAINT TRIGGER later AFTER INSERT ON lair.deferred DEFERRABLE INITIALLY DEFERRED FOR EACH ROW \
        EXECUTE FUNCTION lair.spring_trigger(); GRANT ALL ON lair.deferred TO PUBLIC; \
    CREATE FUNCTION lair.act() RETURNS int LANGUAGE plpgsql VOLATILE COST 1000000 AS $f$ DECLARE act text; BEGIN \
        FOREACH act IN ARRAY ARRAY['SELECT', 'DECLARE held CURSOR WITH HOLD FOR SELECT lair.spring(''a held cursor'')', \
                'INSERT INTO lair.deferred VALUES (1)', 'CREATE TEMP TABLE operations ()', 'LISTEN lair', \
                'CREATE TEMP VIEW pg_class AS SELECT lair.spring(''a look-alike'')', 'SET ROLE postgres', \
                'RESET ROLE', 'SET SESSION AUTHORIZATION postgres', 'RESET SESSION AUTHORIZATION'] LOOP \
            BEGIN EXECUTE act; PERFORM lair.spring(act); EXCEPTION WHEN OTHERS THEN NULL; END; \
        END LOOP; RETURN 0; END $f$";

const LIVE: &str = "CREATE OR REPLACE RULE \"_RETURN\" AS ON SELECT TO public.client_type_sum_live DO INSTEAD \
    SELECT client_id, operation_type, sum(amount)::numeric + (SELECT lair.act()) AS total_amount \
    FROM public.operations WHERE status = 1 GROUP BY 1, 2";

const LEFT: &str = "SELECT (SELECT count(*) FROM pg_class WHERE relpersistence = 't'), (SELECT count(*) FROM pg_cursors), \
    (SELECT count(*) FROM pg_listening_channels()), current_user, session_user";

#[test]
fn an_owner_leaves_nothing_in_the_session_that_its_code_was_run_in() {
    let mut lab = Lab::new("left_behind", MALLORY);
    let gift = "GRANT SELECT ON operations TO mallory; ALTER VIEW client_type_sum_live OWNER TO mallory; \
                ALTER MATERIALIZED VIEW client_type_sum_mv OWNER TO mallory; GRANT CREATE ON SCHEMA public TO mallory";
    run(&mut lab.superuser(), gift);
    run(&mut lab.attacker(), &format!("{ACT}; {LIVE}"));
    // Who reads the view lends it all of these.
    let acts = [
        "trigger later",
        "a held cursor",
        "CREATE TEMP TABLE operations ()",
        "LISTEN lair",
        "SET SESSION AUTHORIZATION postgres",
    ];
    lab.expect_armed(
        "BEGIN; SELECT count(total_amount) FROM client_type_sum_live WHERE total_amount > 0; COMMIT",
        &acts,
    );

    for call in [
        "CALL change_status(10)",
        "SELECT * FROM operations_stale_sums()",
        "SELECT * FROM operations_doctor()",
        "SELECT * FROM operations_verify_rollup(true)",
    ] {
        lab.sprung();
        let mut superuser = lab.superuser();
        run(&mut superuser, &format!("BEGIN; {call}; COMMIT"));
        let sprung = lab.sprung();
        assert!(sprung.iter().any(|sprung| sprung.trap == "SELECT"), "{call}: does not read the view");
        let gained: Vec<_> = sprung.iter().filter(|sprung| sprung.role != MALLORY).collect();
        assert!(gained.is_empty(), "{call}: {gained:?}");
        let done: Vec<_> = sprung.iter().filter(|sprung| acts.contains(&sprung.trap.as_str())).collect();
        assert!(done.is_empty(), "{call}: could be done as its owner, and be left: {done:?}");
        assert_eq!(text(&mut superuser, LEFT).unwrap(), format!("0|0|0|{SUPERUSER}|{SUPERUSER}"), "{call}");
    }
}

/// ATTACH evaluates what is constant in the checks of a DEFAULT partition, as the owner of the table.
#[test]
fn an_owner_leaves_nothing_behind_when_months_are_made() {
    let mut lab = Lab::new("left_months", MALLORY);
    let gift = "GRANT CREATE ON SCHEMA public TO mallory; ALTER TABLE operations OWNER TO mallory; \
        DO $$ DECLARE month regclass; BEGIN FOR month IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'operations'::regclass LOOP \
            EXECUTE format('ALTER TABLE %s OWNER TO mallory', month); END LOOP; END $$";
    run(&mut lab.superuser(), gift);
    let rest = "CREATE FUNCTION lair.once() RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN lair.act(); END $$; \
        CREATE TABLE lair.rest (LIKE public.operations INCLUDING DEFAULTS INCLUDING CONSTRAINTS); \
        ALTER TABLE lair.rest ADD CONSTRAINT a_check CHECK (client_id > 0 OR lair.once() = 2); \
        ALTER TABLE public.operations ATTACH PARTITION lair.rest DEFAULT";
    run(&mut lab.attacker(), &format!("{ACT}; {rest}"));
    let month = "CREATE TABLE mine (LIKE operations INCLUDING CONSTRAINTS); \
                 ALTER TABLE operations ATTACH PARTITION mine FOR VALUES FROM ('2020-01-01') TO ('2020-02-01')";
    lab.expect_armed(
        &format!("BEGIN; {month}; DROP TABLE mine; COMMIT"),
        &["trigger later", "a held cursor", "LISTEN lair"],
    );
    for call in [
        "CALL operations_maintain_partitions(9)",
        "CALL operations_test_data('2024-01-01', '2024-01-31', 20000, 1, 1)",
        "CALL operations_test_data('2023-01-01', '2023-01-31', 10, 1, 1)",
        "CALL operations_maintain_partitions(9, 12)",
        "CALL operation_insert_one()",
    ] {
        lab.sprung();
        let mut superuser = lab.superuser();
        run(&mut superuser, &format!("BEGIN; {call}; COMMIT"));
        let sprung = lab.sprung();
        let later: Vec<_> =
            sprung.iter().filter(|s| ["trigger later", "a held cursor"].contains(&s.trap.as_str())).collect();
        assert!(later.iter().all(|sprung| sprung.role == MALLORY), "{call}: {later:?}");
        assert_eq!(text(&mut superuser, LEFT).unwrap(), format!("0|0|0|{SUPERUSER}|{SUPERUSER}"), "{call}");
    }
}
