//! Reading the two views: their readers learn the sums, and not what they are made of, and nothing of the readers' is called.

use operations_cluster::expect::run;
use operations_cluster::text;

use crate::lab::{Lab, MALLORY};

/// Look-alikes of what the views call, in a schema that comes first.
const LOOK_ALIKES: &str = "\
    CREATE FUNCTION lair.sum(bigint) RETURNS numeric LANGUAGE sql AS $$ SELECT lair.spring('sum')::numeric $$; \
    CREATE FUNCTION lair.same(oid, oid) RETURNS bool LANGUAGE sql AS $$ SELECT lair.spring('operator') = 1 $$; \
    CREATE OPERATOR lair.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = lair.same); \
    CREATE FUNCTION pg_temp.operations_count_change() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$; \
    CREATE TEMP TABLE operations (id int); CREATE TEMP TABLE operations_rollup_total (id int)";

#[test]
fn look_alikes_of_a_reader_are_not_called() {
    let mut lab = Lab::new("views_path", MALLORY);
    run(&mut lab.superuser(), "GRANT SELECT ON client_type_sum_live, client_type_sum_mv TO mallory");
    // Now it is not tracked, and its sums come from the rows.
    run(&mut lab.superuser(), "VACUUM FULL operations_2025_08");
    let mut attacker = lab.attacker();
    run(&mut attacker, LOOK_ALIKES);
    lab.expect_armed(
        "SET search_path = lair, pg_catalog; SELECT sum(1::bigint), 1::oid OPERATOR(lair.=) 1::oid",
        &["sum", "operator"],
    );
    run(&mut attacker, "SET search_path = pg_temp, lair, pg_catalog");
    for view in ["public.client_type_sum_live", "public.client_type_sum_mv"] {
        assert_ne!(text(&mut attacker, &format!("SELECT count(*) FROM {view}")).unwrap(), "0");
    }
    assert_eq!(lab.sprung(), []);
}

/// A condition of the reader's may be evaluated before those of the view, on rows that the view leaves out.
#[test]
fn a_condition_of_a_reader_is_not_told_of_operations_that_are_not_done() {
    let lab = Lab::new("views_leak", MALLORY);
    run(
        &mut lab.superuser(),
        "GRANT SELECT ON client_type_sum_live TO mallory; GRANT SELECT ON operations_2025_08 TO mallory; \
         INSERT INTO operations (operation_date, operation_guid, client_id, operation_type, amount, message) \
         VALUES ('2025-08-01', gen_random_uuid(), 77777, 'online', 1, '{}')",
    );
    // Now it is not tracked, and its sums come from the rows.
    run(&mut lab.superuser(), "VACUUM FULL operations_2025_08");
    let mut attacker = lab.attacker();
    let leak = "CREATE TEMP TABLE heard (client int); \
                CREATE FUNCTION pg_temp.hear(client int) RETURNS bool LANGUAGE plpgsql COST 0.0001 AS \
                $$ BEGIN INSERT INTO heard VALUES (client); RETURN true; END $$";
    run(&mut attacker, leak);
    // An index would look for the status first.
    run(&mut attacker, "SET enable_indexscan = off; SET enable_bitmapscan = off");
    let heard = "SELECT count(*) FROM heard WHERE client = 77777";
    run(&mut attacker, "SELECT count(*) FROM public.operations_2025_08 WHERE status = 1 AND pg_temp.hear(client_id)");
    assert_eq!(text(&mut attacker, heard).unwrap(), "1", "a cheap condition is evaluated first");
    run(
        &mut attacker,
        "TRUNCATE heard; SELECT count(*) FROM public.client_type_sum_live WHERE pg_temp.hear(client_id)",
    );
    assert_ne!(text(&mut attacker, "SELECT count(*) FROM heard").unwrap(), "0");
    assert_eq!(text(&mut attacker, heard).unwrap(), "0", "told of a client who has no operation that is done");
}

/// The owner of the view gets a grant to read the rollups, if it may read the table: that whose sums they hold.
#[test]
fn a_table_that_took_the_name_of_the_one_that_is_summed_opens_no_sums() {
    let lab = Lab::new("views_renamed", MALLORY);
    run(
        &mut lab.superuser(),
        "ALTER TABLE operations RENAME TO archive; ALTER MATERIALIZED VIEW client_type_sum_mv OWNER TO mallory; \
         GRANT CREATE ON SCHEMA public TO mallory; GRANT EXECUTE ON PROCEDURE change_status(integer) TO mallory",
    );
    let mut attacker = lab.attacker();
    run(
        &mut attacker,
        "CREATE TABLE public.operations (id bigint, operation_date date, operation_guid uuid, client_id int, \
             operation_type public.operation_type_enum, amount numeric, status smallint, message jsonb) \
             PARTITION BY RANGE (operation_date); \
         DROP MATERIALIZED VIEW public.client_type_sum_mv; \
         CREATE MATERIALIZED VIEW public.client_type_sum_mv AS \
             SELECT 1 AS client_id, 'online'::public.operation_type_enum AS operation_type, 1.0 AS total_amount; \
         CREATE UNIQUE INDEX ON public.client_type_sum_mv (client_id, operation_type)",
    );
    let may_read = "SELECT has_table_privilege('mallory', 'public.operations_rollup_live', 'SELECT')";
    let mut superuser = lab.superuser();
    // Who may read the table that is summed is let.
    run(&mut superuser, "BEGIN; GRANT SELECT ON archive TO mallory; CALL change_status(1)");
    assert_eq!(text(&mut superuser, may_read).unwrap(), "t");
    run(&mut superuser, "ROLLBACK");
    run(&mut attacker, "CALL public.change_status(1)");
    assert_eq!(text(&mut superuser, may_read).unwrap(), "f");
}
