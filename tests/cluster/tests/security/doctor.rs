//! Whoever owns `operations` and its views gets no rights of those who ask the doctor, superusers before all, nor of those who
//! have the sums refreshed.

use operations_cluster::expect::run;
use operations_cluster::{SUPERUSER, text};

use crate::lab::{Lab, MALLORY, MOLE};

/// All of it is the attacker's.
const GIFT: &str = "GRANT CREATE ON SCHEMA public TO mallory; ALTER TABLE operations OWNER TO mallory; ALTER VIEW client_type_sum_live OWNER TO mallory; \
    ALTER MATERIALIZED VIEW client_type_sum_mv OWNER TO mallory; DO $$ DECLARE month regclass; BEGIN \
        FOR month IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'operations'::regclass LOOP \
            EXECUTE format('ALTER TABLE %s OWNER TO mallory', month); END LOOP; END $$";

/// The rule of a view is its owner's to replace, with no right on the schema.
const LIVE: &str = "CREATE OR REPLACE RULE \"_RETURN\" AS ON SELECT TO public.client_type_sum_live DO INSTEAD \
    SELECT client_id, operation_type, (sum(amount) + lair.spring('live view'))::numeric AS total_amount \
    FROM public.operations WHERE status = 1 GROUP BY 1, 2";

const MONTH: &str = "CREATE INDEX ON public.operations_2025_08 ((client_id + lair.spring('index expression')))";

const FALLBACK: &str = "CREATE TABLE lair.rest (LIKE public.operations INCLUDING DEFAULTS INCLUDING CONSTRAINTS); \
    CREATE INDEX ON lair.rest ((client_id + lair.spring('index of the rest'))); \
    ALTER TABLE public.operations ATTACH PARTITION lair.rest DEFAULT";

const DOCTOR: [&str; 6] = [
    "SELECT * FROM operations_doctor()",
    "SELECT * FROM operations_doctor(true)",
    "SELECT * FROM operations_doctor_partitions()",
    "SELECT * FROM operations_doctor_sums(false)",
    "SELECT * FROM operations_doctor_sums(true)",
    "SELECT * FROM operations_stale_sums()",
];

#[test]
fn a_monitor_sees_that_nothing_is_wrong() {
    let lab = Lab::new("doctor_monitor", MALLORY);
    let mut superuser = lab.superuser();
    run(
        &mut superuser,
        &format!("CREATE ROLE watch LOGIN PASSWORD '{}' IN ROLE operations_monitor", lab.server().password()),
    );
    run(&mut superuser, "CALL change_status(1)");
    // What this server has not: a replica, jobs, and fsync.
    let found = "SELECT code, evidence FROM operations_doctor() \
                 WHERE severity <> 'info' AND code NOT IN ('no_replica', 'job_missing', 'not_durable')";
    // Another month is sampled each time.
    for _ in 0..5 {
        assert_eq!(text(&mut lab.session("watch"), found).unwrap(), "");
    }
    run(&mut superuser, "UPDATE operations_rollup SET amount = amount + 1");
    let broken = "SELECT DISTINCT code FROM operations_doctor() WHERE severity = 'broken' AND code <> 'job_missing'";
    assert_eq!(text(&mut lab.session("watch"), broken).unwrap(), "sums_differ");
}

#[test]
fn who_owns_the_table_and_the_views_gets_no_rights_of_who_asks_the_doctor() {
    let mut lab = Lab::new("doctor_owner", MALLORY);
    let mut superuser = lab.superuser();
    run(&mut superuser, GIFT);
    run(
        &mut superuser,
        &format!("CREATE ROLE guard LOGIN PASSWORD '{}' IN ROLE operations_monitor", lab.server().password()),
    );
    run(&mut lab.attacker(), &format!("{LIVE}; {MONTH}; {FALLBACK}"));
    lab.expect_armed(
        "SELECT count(*) FROM client_type_sum_live WHERE total_amount > 0",
        &["live view", "index expression"],
    );
    lab.expect_armed("SELECT EXISTS (SELECT FROM lair.rest)", &["index of the rest"]);
    for role in [SUPERUSER, "guard"] {
        lab.expect_none_lent(role, &DOCTOR);
    }
    // And still it sees what is wrong with the sums, and says what it did not look into.
    let stale = "SELECT code FROM operations_doctor_sums(false) WHERE code = 'view_stale'";
    assert_eq!(text(&mut superuser, stale).unwrap(), "view_stale");
    let rest = "SELECT severity FROM operations_doctor_partitions() WHERE evidence LIKE '%lair.rest%'";
    assert_eq!(text(&mut superuser, rest).unwrap(), "unknown");
}

/// The other view stays the superuser's: REFRESH would call what the new owner puts into this one as its reader, the superuser.
#[test]
fn who_owns_the_live_view_gets_no_rights_of_who_owns_the_other() {
    let mut lab = Lab::new("doctor_live", MALLORY);
    run(
        &mut lab.superuser(),
        "ALTER VIEW client_type_sum_live OWNER TO mallory; GRANT SELECT ON operations TO mallory",
    );
    run(&mut lab.attacker(), LIVE);
    lab.expect_armed("REFRESH MATERIALIZED VIEW CONCURRENTLY client_type_sum_mv", &["live view"]);
    let calls = [
        "CALL change_status(10)",
        "CALL operations_setup()",
        "SELECT * FROM operations_verify_rollup()",
        "SELECT * FROM operations_verify_rollup(true)",
    ];
    lab.expect_none_lent(MOLE, &calls);
    lab.expect_none_lent(SUPERUSER, &calls);
    lab.expect_none_lent(SUPERUSER, &DOCTOR);
    // Nor of who makes the other view anew.
    run(&mut lab.superuser(), "DROP MATERIALIZED VIEW client_type_sum_mv");
    lab.expect_none_lent(SUPERUSER, &["CALL operations_setup()", "CALL change_status(10)"]);
}

/// The views stayed the superuser's when the table was given away, so that what is on its partitions would be evaluated as the
/// superuser.
#[test]
fn who_owns_the_table_alone_gets_no_rights_of_who_owns_the_views() {
    let mut lab = Lab::new("doctor_table", MALLORY);
    let views = "ALTER VIEW client_type_sum_live OWNER TO postgres; ALTER MATERIALIZED VIEW client_type_sum_mv OWNER TO postgres";
    run(&mut lab.superuser(), &format!("{GIFT}; {views}"));
    run(&mut lab.attacker(), &format!("{MONTH}; {FALLBACK}"));
    lab.expect_armed("SELECT count(*) FROM client_type_sum_live", &["index expression", "index of the rest"]);
    lab.expect_none_lent(SUPERUSER, &DOCTOR);
    let breaches = lab.breaches(MOLE, &["CALL change_status(10)"]);
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
    let unknown = "SELECT severity FROM operations_doctor() WHERE evidence LIKE 'sums: %'";
    assert_eq!(text(&mut lab.superuser(), unknown).unwrap(), "unknown");
}
