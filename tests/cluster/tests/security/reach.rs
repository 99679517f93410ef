//! What PUBLIC and the demo's roles can reach, from the catalogs, is what docs/security.md lists.

use operations_cluster::text;

use crate::lab::{Lab, MALLORY};
use crate::page::{expect_same, table};

const REACH: &str = include_str!("reach.sql");

#[test]
fn what_others_than_the_owners_may_reach_is_on_the_page() {
    let lab = Lab::new("reach", MALLORY);
    let found: Vec<_> = text(&mut lab.superuser(), REACH).unwrap().lines().map(str::to_owned).collect();
    let heading = "What the roles can reach";
    expect_same(heading, &table(heading), &found);
}

/// A view calls its functions with the rights of its reader. What PUBLIC must therefore be able to call takes no OIDs and no
/// names: whatever they name would be the caller's choice.
#[test]
fn functions_open_to_public_take_no_oids_and_no_names() {
    let lab = Lab::new("reach_arguments", MALLORY);
    let open = "SELECT p.oid::regprocedure FROM pg_proc p \
        CROSS JOIN LATERAL unnest(coalesce(p.proallargtypes, p.proargtypes::oid[]), p.proargmodes) a(of_type, mode) \
        JOIN pg_type t ON t.oid = a.of_type LEFT JOIN pg_type e ON e.oid = nullif(t.typelem, 0) \
        WHERE p.pronamespace = @schema@ AND has_function_privilege('public', p.oid, 'EXECUTE') \
          AND coalesce(a.mode, 'i') IN ('i', 'b', 'v') \
          AND (t.typname ~ '^(oid|reg.*|name|text|varchar|bpchar|cstring|any.*|internal|jsonb?|xml|record)$' \
               OR coalesce(e.typname, '') ~ '^(oid|reg.*|name|text|varchar|bpchar)$') \
        GROUP BY 1 ORDER BY 1";
    let mut superuser = lab.superuser();
    // PostgreSQL itself has such functions.
    assert_ne!(text(&mut superuser, &open.replace("@schema@", "'pg_catalog'::regnamespace")).unwrap(), "");
    let ours = "(SELECT extnamespace FROM pg_extension WHERE extname = 'operations_ext')";
    assert_eq!(text(&mut superuser, &open.replace("@schema@", ours)).unwrap(), "");
}

#[test]
fn functions_that_run_as_their_owner_are_on_the_page_and_take_no_arguments() {
    let lab = Lab::new("reach_definer", MALLORY);
    let definer = "SELECT proname, pronargs, array_to_string(proconfig, ' ') FROM pg_proc \
                   WHERE pronamespace = 'public'::regnamespace AND prosecdef ORDER BY 1";
    let found: Vec<_> = text(&mut lab.superuser(), definer).unwrap().lines().map(str::to_owned).collect();
    let heading = "Functions that run as their owner";
    // Commas part the cells of a row of the page.
    let found: Vec<_> = found.into_iter().map(|row| row.replace(", ", " ")).collect();
    expect_same(heading, &table(heading), &found);
    assert!(found.iter().all(|row| row.ends_with("|0|search_path=pg_catalog pg_temp")), "{found:?}");
}

#[test]
fn the_roles_of_the_demo_are_as_the_page_says() {
    let lab = Lab::new("reach_roles", MALLORY);
    let roles = "SELECT rolname, concat_ws(' ', CASE WHEN rolcanlogin THEN 'login' ELSE 'nologin' END, \
            CASE WHEN rolsuper THEN 'superuser' END, CASE WHEN rolreplication THEN 'replication' END, \
            CASE WHEN rolcreaterole THEN 'createrole' END, CASE WHEN rolcreatedb THEN 'createdb' END, \
            CASE WHEN rolbypassrls THEN 'bypassrls' END, \
            'in ' || (SELECT string_agg(m.roleid::regrole::text, ' ' ORDER BY m.roleid::regrole::text) \
                      FROM pg_auth_members m WHERE m.member = r.oid)) \
        FROM pg_roles r \
        WHERE rolname IN ('operations_lab', 'operations_load', 'operations_monitor', 'operations_reader', 'operations_worker', 'replicator') ORDER BY 1";
    let found: Vec<_> = text(&mut lab.superuser(), roles).unwrap().lines().map(str::to_owned).collect();
    let heading = "Roles of the demo";
    expect_same(heading, &table(heading), &found);
}
