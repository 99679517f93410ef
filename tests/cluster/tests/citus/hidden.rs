//! Rows that no query finds: a load past Citus, or what was there before the table was distributed.

use operations_cluster::expect::{expect_refused, run};
use operations_cluster::{DATABASE, db_error, text, value};

use crate::common::{Cluster, NOT_SUPPORTED, findings, next_command, operations, run_as_psql};

#[test]
fn rows_that_no_query_finds_are_named_and_come_back() {
    let test = "hidden::rows_that_no_query_finds_are_named_and_come_back";
    let Some((_cluster, mut session)) = Cluster::distributed(test) else { return };
    let rows = operations(&mut session);
    // What Citus copied is there twice; what it has not got is only there.
    run(&mut session, "DELETE FROM operations WHERE id <= 5");
    assert_eq!(operations(&mut session), rows - 5);
    let hidden = "SELECT count(*), count(*) FILTER (WHERE id <= 5) FROM operations_hidden_rows()";
    assert_eq!(text(&mut session, hidden).unwrap(), format!("{rows}|5"));
    let evidence = "SELECT evidence FROM operations_doctor() WHERE code = 'hidden_rows'";
    let evidence = text(&mut session, evidence).unwrap();
    for month in ["public.operations_2025_08", "public.operations_2025_11"] {
        assert!(evidence.contains(month), "{evidence}");
    }
    assert!(!evidence.contains("public.operations_2025_12"), "{evidence}");

    let command = next_command(&mut session, "hidden_rows");
    // Nothing is emptied if nothing could be inserted.
    run(&mut session, "ALTER TABLE operations ADD CONSTRAINT no_more CHECK (id > 5) NOT VALID");
    assert!(run_as_psql(&mut session, &command).is_some());
    assert_eq!(text(&mut session, hidden).unwrap(), format!("{rows}|5"));
    run(&mut session, "ALTER TABLE operations DROP CONSTRAINT no_more");
    // What is there is not inserted again, also where no key keeps it out.
    run(&mut session, "ALTER TABLE operations DROP CONSTRAINT operations_pkey");
    assert!(run_as_psql(&mut session, &command).is_none());
    assert_eq!(operations(&mut session), rows);
    assert_eq!(text(&mut session, hidden).unwrap(), "0|0");
    assert_eq!(findings(&mut session), "citus_table|broken");
}

#[test]
fn hidden_rows_are_for_who_may_read_the_table() {
    let test = "hidden::hidden_rows_are_for_who_may_read_the_table";
    let Some((cluster, mut session)) = Cluster::distributed(test) else { return };
    let password = cluster.coordinator.password();
    run(&mut session, &format!("CREATE ROLE stranger LOGIN PASSWORD '{password}'"));
    let mut stranger = cluster.coordinator.connect_as("stranger", DATABASE).unwrap();
    // What anybody sees in the catalogs of Citus.
    let seen = "SELECT count(*) > 0, count(has_hidden_rows) FROM operations_citus_tables()";
    assert_eq!(text(&mut stranger, seen).unwrap(), "t|0");
    let code = |error| db_error(error).unwrap().code().code().to_owned();
    assert_eq!(code(stranger.batch_execute("SELECT * FROM operations_hidden_rows()")), "42501");
    run(&mut session, "GRANT EXECUTE ON FUNCTION operations_hidden_rows() TO stranger");
    let error = db_error(stranger.batch_execute("SELECT * FROM operations_hidden_rows()")).unwrap();
    assert_eq!((error.code().code(), error.message()), ("42501", "permission denied for table operations"));
    run(&mut session, "GRANT SELECT ON operations TO stranger");
    assert_eq!(value::<i64>(&mut stranger, "SELECT count(*) FROM operations_hidden_rows()").unwrap(), 2000);

    // Where policies decide what he sees, he is told neither.
    run(&mut session, "ALTER TABLE operations ENABLE ROW LEVEL SECURITY");
    assert_eq!(text(&mut stranger, seen).unwrap(), "t|0");
    assert_eq!(code(stranger.batch_execute("SELECT * FROM operations_hidden_rows()")), "0A000");
    run(&mut session, "ALTER TABLE operations DISABLE ROW LEVEL SECURITY");

    // The table that the view reads may be another one, whose rows are not those of operations.
    run(&mut session, "ALTER TABLE operations RENAME TO deeds");
    assert_eq!(value::<i64>(&mut session, "SELECT count(*) FROM operations_hidden_rows()").unwrap(), 0);
    run(&mut session, "ALTER TABLE deeds RENAME TO operations");

    // A row has the columns of operations.
    run(&mut session, "ALTER TABLE operations RENAME COLUMN message TO body");
    expect_refused(&mut session, "SELECT * FROM operations_hidden_rows()", &["42804"]);
    expect_refused(&mut session, "SELECT * FROM client_type_sum_live", NOT_SUPPORTED);
}
