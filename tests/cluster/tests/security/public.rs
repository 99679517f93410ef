//! What PUBLIC may call: whatever an attacker passes, nothing of the attacker's is run with other rights, nothing is told that
//! the attacker may not read, and nothing is locked that the attacker may not lock.
//!
//! The functions come from the catalogs, so that these attacks go on to try whatever function PUBLIC may call tomorrow.

use operations_cluster::expect::run;
use operations_cluster::{Error, text};
use postgres::Client;

use crate::lab::{Lab, MALLORY, READER};

/// The functions and procedures of the extension that a role may execute, with the types of their arguments.
const CALLABLE: &str = "SELECT p.oid::regproc, p.prokind, \
        (SELECT coalesce(string_agg(t::regtype::text, ',' ORDER BY n), '') FROM unnest(p.proargtypes) WITH ORDINALITY a(t, n)) \
    FROM pg_proc p \
    JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e' \
    JOIN pg_extension e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass AND e.extname = 'operations_ext' \
    WHERE has_function_privilege(p.oid, 'EXECUTE') AND p.prorettype <> 'trigger'::regtype ORDER BY 1";

/// A call for each value of each argument, those in `names` as OIDs, arrays of OIDs and names.
fn calls(session: &mut Client, names: &[&str]) -> Vec<String> {
    let mut calls = Vec::new();
    for line in text(session, CALLABLE).unwrap().lines() {
        let parts: Vec<_> = line.split('|').collect();
        let types: Vec<_> = parts[2].split(',').filter(|of_type| !of_type.is_empty()).collect();
        let mut tuples = vec![String::new()];
        for of_type in types {
            let values = values(of_type, names);
            tuples = tuples
                .iter()
                .flat_map(|tuple| values.iter().map(move |value| format!("{tuple}{}{value}", comma(tuple))))
                .collect();
        }
        let verb = if parts[1] == "p" { "CALL" } else { "SELECT * FROM" };
        calls.extend(tuples.into_iter().map(|tuple| format!("{verb} {}({tuple})", parts[0])));
    }
    calls
}

fn comma(tuple: &str) -> &'static str {
    if tuple.is_empty() { "" } else { ", " }
}

fn values(of_type: &str, names: &[&str]) -> Vec<String> {
    let mut values: Vec<_> = match of_type.strip_suffix("[]") {
        Some(element) if element == "oid" || element.starts_with("reg") => {
            names.iter().map(|name| format!("array['{name}'::regclass]::{of_type}")).collect()
        }
        Some(_) => Vec::new(),
        None if of_type == "oid" || of_type.starts_with("reg") => {
            names.iter().map(|name| format!("'{name}'::regclass::{of_type}")).collect()
        }
        None if ["text", "name"].contains(&of_type) => {
            names.iter().map(|name| format!("'{name}'::{of_type}")).collect()
        }
        None => Vec::new(),
    };
    values.push(format!("NULL::{of_type}"));
    values
}

/// What the attacker may read, and so is told anything by: the sums through the view.
const GRANT: &str = "GRANT SELECT ON client_type_sum_live TO mallory";

#[test]
fn a_partition_key_of_ones_own_is_not_evaluated_with_other_rights() {
    let mut lab = Lab::new("public_key", MALLORY);
    run(&mut lab.superuser(), GRANT);
    // The condition that makes a row one of a partition calls the attacker's function.
    let bait = "CREATE TABLE lair.keyed (client_id int) PARTITION BY RANGE ((lair.spring('partition key') + client_id)); \
                CREATE TABLE lair.part PARTITION OF lair.keyed FOR VALUES FROM (-100) TO (2147483647); \
                CREATE TABLE lair.checked (client_id int CHECK (client_id + lair.spring('check') <> 0)); \
                CREATE INDEX ON lair.checked ((client_id + lair.spring('index expression')))";
    run(&mut lab.attacker(), bait);
    lab.expect_armed("INSERT INTO lair.keyed VALUES (1)", &["partition key"]);
    lab.expect_armed("INSERT INTO lair.checked VALUES (1)", &["check", "index expression"]);
    let unsafe_query = "DO $$ BEGIN EXECUTE format('SELECT count(*) FROM operations WHERE %s', \
                        pg_get_partition_constraintdef('lair.part'::regclass)); END $$";
    lab.expect_armed(unsafe_query, &["partition key"]);

    let names = ["lair.part", "lair.keyed", "lair.checked"];
    let calls = calls(&mut lab.attacker(), &names);
    let calls: Vec<_> = calls.iter().map(String::as_str).collect();
    let breaches = lab.breaches(MALLORY, &calls);
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

#[test]
fn rows_that_a_policy_hides_are_not_summed_by_what_public_may_call() {
    let lab = Lab::new("public_policy", READER);
    run(
        &mut lab.superuser(),
        "REVOKE SELECT ON client_type_sum_live, client_type_sum_mv FROM operations_reader; \
         ALTER TABLE operations ENABLE ROW LEVEL SECURITY; \
         CREATE POLICY few ON operations TO operations_reader USING (client_id = 0); \
         INSERT INTO operations (operation_date, operation_guid, client_id, operation_type, amount, status, message) \
         VALUES ('2025-08-01', gen_random_uuid(), 77777, 'online', 1234567.89, 1, '{}')",
    );
    // Where the policy does not apply, the amount is seen.
    let sum = "SELECT client_id, sum(amount) FROM operations WHERE status = 1 GROUP BY client_id";
    assert!(text(&mut lab.superuser(), sum).unwrap().contains("77777|1234567.89"));
    let mut reader = lab.attacker();
    assert_eq!(text(&mut reader, sum).unwrap(), "");
    let mut told = Vec::new();
    for call in calls(&mut reader, &["public.operations_2025_08"]) {
        let answer = text(&mut reader, &call).unwrap_or_default();
        if answer.contains("1234567.89") {
            told.push(call);
        }
    }
    assert!(told.is_empty(), "told of a row that is hidden: {told:?}");
}

#[test]
fn what_public_may_call_locks_no_table_of_others() {
    let lab = Lab::new("public_lock", MALLORY);
    run(&mut lab.superuser(), &format!("{GRANT}; CREATE TABLE closed (secret int)"));
    let held = "SELECT count(*) FROM pg_locks WHERE relation = 'public.closed'::regclass AND pid = pg_backend_pid()";
    let mut superuser = lab.superuser();
    run(&mut superuser, "BEGIN; LOCK TABLE closed IN ACCESS SHARE MODE");
    assert_eq!(text(&mut superuser, held).unwrap(), "1");
    let mut attacker = lab.attacker();
    // An OID is told to anybody who asks, whoever may read the table.
    let mut locked = Vec::new();
    for call in calls(&mut attacker, &["public.closed"]) {
        run(&mut attacker, "BEGIN");
        let error = attacker.batch_execute(&call).map_err(Error::from).err().map(|error| error.to_string());
        if error.is_none() && text(&mut attacker, held).unwrap() != "0" {
            locked.push(call);
        }
        run(&mut attacker, "ROLLBACK");
    }
    assert!(locked.is_empty(), "holds a lock on a table that it may not read: {locked:?}");
}
