//! A plan that was made as one role is run as another: the rights are those of who runs it.

use operations_cluster::expect::run;
use operations_cluster::{db_error, text};

use crate::lab::{Lab, MALLORY};

/// `half` may call what inserts, and not insert.
const HALF: &str = "CREATE ROLE half; GRANT USAGE ON SCHEMA public TO half; \
    GRANT EXECUTE ON PROCEDURE operation_insert_one(), change_status(integer) TO half; \
    GRANT EXECUTE ON PROCEDURE operations_test_data(date, date, bigint, bigint, integer) TO half";

#[test]
fn a_plan_of_somebody_with_more_rights_lends_them_to_nobody() {
    let lab = Lab::new("plans", MALLORY);
    let mut session = lab.superuser();
    run(&mut session, HALF);
    let calls = [
        "CALL operation_insert_one()",
        "CALL change_status(10)",
        "CALL operations_test_data('2025-08-01', '2025-08-31', 100, 1, 1)",
        "EXECUTE live",
        "EXECUTE held",
        "EXECUTE deltas",
    ];
    let prepare = "PREPARE live AS SELECT count(*) FROM client_type_sum_live; \
                   PREPARE held AS SELECT count(*) FROM client_type_sum_mv; PREPARE deltas AS SELECT count(*) FROM operations_delta";
    run(&mut session, prepare);
    for (become_half, become_superuser) in
        [("SET ROLE half", "RESET ROLE"), ("SET SESSION AUTHORIZATION half", "RESET SESSION AUTHORIZATION")]
    {
        for _ in 0..2 {
            // The plans are kept by the session, and work.
            calls.iter().for_each(|call| run(&mut session, call));
            run(&mut session, become_half);
            for call in calls {
                let error = db_error(session.batch_execute(call));
                let code = error.as_ref().map(|error| error.code().code());
                assert_eq!(code, Some("42501"), "{become_half}; {call}: {error:?}");
            }
            run(&mut session, become_superuser);
        }
    }
    assert_eq!(text(&mut session, "SELECT current_user = session_user").unwrap(), "t");
}

/// A cursor reads as who opened it, before, between and after what acts as somebody else.
#[test]
fn a_cursor_keeps_the_rights_of_who_opened_it() {
    let lab = Lab::new("plans_cursor", MALLORY);
    run(&mut lab.superuser(), &HALF.replace("half", "other_half"));
    run(
        &mut lab.superuser(),
        "GRANT INSERT, SELECT ON operations TO other_half; GRANT UPDATE (status) ON operations TO other_half; \
        CREATE FUNCTION whose() RETURNS text LANGUAGE sql VOLATILE AS 'SELECT current_user::text'",
    );
    for hold in ["", "WITH HOLD"] {
        let mut session = lab.superuser();
        run(&mut session, "SET ROLE other_half; BEGIN");
        run(&mut session, &format!("DECLARE c CURSOR {hold} FOR SELECT whose() FROM generate_series(1, 10)"));
        for call in [
            "CALL operation_insert_one()",
            "CALL change_status(10)",
            "CALL operations_test_data('2024-08-01', '2024-08-31', 20000, 1, 1)",
        ] {
            assert_eq!(text(&mut session, "FETCH c").unwrap(), "other_half");
            run(&mut session, call);
            assert_eq!(text(&mut session, "FETCH c").unwrap(), "other_half", "after {call}");
        }
        run(&mut session, "COMMIT");
        if !hold.is_empty() {
            assert_eq!(text(&mut session, "FETCH c").unwrap(), "other_half", "after the commit");
        }
    }
}
