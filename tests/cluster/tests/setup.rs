//! `CREATE EXTENSION` and `operations_setup()`: the objects of the contract, who may use them, and where they live.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use operations_cluster::expect::{CONTENTS, PARTITIONS, state};
use operations_cluster::{Server, db_error, text, value};

/// The calls that write, as a user types them after the schema's name.
const WRITING_CALLS: [&str; 8] = [
    "operations_setup()",
    "operations_test_data('2025-08-01', '2025-08-31', 10, 1)",
    "operation_insert_one()",
    "change_status()",
    "change_status(5)",
    "operations_maintain_partitions()",
    "operations_schedule()",
    "operations_unschedule()",
];

#[test]
fn setup_makes_the_objects_of_the_contract() {
    let server = Server::primary().with_extension().start().unwrap();
    let mut session = server.session().unwrap();

    let columns = "SELECT attname, format_type(atttypid, atttypmod), attnotnull, attidentity, \
                   pg_get_expr(adbin, adrelid) \
                   FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum \
                   WHERE attrelid = 'operations'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum";
    assert_eq!(
        text(&mut session, columns).unwrap(),
        "id|bigint|t|a|NULL\n\
         operation_date|date|t||NULL\n\
         operation_guid|uuid|t||NULL\n\
         client_id|integer|t||NULL\n\
         operation_type|operation_type_enum|t||NULL\n\
         amount|numeric(12,2)|t||NULL\n\
         status|smallint|t||0\n\
         message|jsonb|t||NULL"
    );
    let question = "SELECT pg_get_partkeydef('operations'::regclass)";
    assert_eq!(text(&mut session, question).unwrap(), "RANGE (operation_date)");
    let question = "SELECT pg_get_constraintdef(oid) FROM pg_constraint \
                    WHERE conrelid = 'operations'::regclass AND contype = 'p'";
    assert_eq!(text(&mut session, question).unwrap(), "PRIMARY KEY (operation_date, id)");
    let question = "SELECT count(*) FROM pg_indexes WHERE tablename = 'operations' \
                    AND indexdef LIKE 'CREATE INDEX % ON ONLY public.operations USING btree (status, id)'";
    assert_eq!(value::<i64>(&mut session, question).unwrap(), 1);
    let question = "SELECT enum_range(NULL::operation_type_enum)";
    assert_eq!(text(&mut session, question).unwrap(), "{offline,online}");
    let question = "SELECT string_agg(format('%s %s', attname, format_type(atttypid, atttypmod)), ', ' \
                    ORDER BY attnum) FROM pg_attribute \
                    WHERE attrelid = 'client_type_sum_mv'::regclass AND attnum > 0";
    assert_eq!(
        text(&mut session, question).unwrap(),
        "client_id integer, operation_type operation_type_enum, total_amount numeric"
    );
    let question = "SELECT relkind, relispopulated FROM pg_class WHERE oid = 'client_type_sum_mv'::regclass";
    assert_eq!(text(&mut session, question).unwrap(), "m|t");
}

#[test]
fn rows_outside_the_contract_are_refused() {
    let server = Server::primary().with_extension().start().unwrap();
    let mut session = server.session().unwrap();
    for (amount, status, code) in [("0", "0", "23514"), ("-1", "0", "23514"), ("1", "2", "23514")] {
        let insert = format!(
            "INSERT INTO operations (operation_date, operation_guid, client_id, operation_type, amount, status, message) \
             VALUES ('2025-08-01', gen_random_uuid(), 1, 'online', {amount}, {status}, '{{}}')"
        );
        let error = db_error(session.batch_execute(&insert)).unwrap();
        assert_eq!(error.code().code(), code, "{insert}: {error:?}");
    }
}

#[test]
fn setup_makes_the_named_months_and_the_months_ahead() {
    let server = Server::primary().with_extension().start().unwrap();
    let mut session = server.session().unwrap();
    let partitions = text(&mut session, PARTITIONS).unwrap();
    let partitions: Vec<_> = partitions.split(' ').collect();
    let expected = text(
        &mut session,
        "SELECT to_char(month, '\"operations\"_YYYY_MM') FROM ( \
         SELECT generate_series('2025-08-01'::date, '2025-11-01', '1 month') UNION \
         SELECT generate_series(date_trunc('month', current_date), current_date + interval '3 months', '1 month')) m(month)",
    )
    .unwrap();
    for name in expected.lines() {
        assert!(partitions.contains(&name), "{name} is not in {partitions:?}");
    }
    // Every partition is exactly the month of its name.
    let question = "SELECT c.relname FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid \
         WHERE inhparent = 'operations'::regclass AND pg_get_expr(relpartbound, c.oid) IS DISTINCT FROM \
         format('FOR VALUES FROM (''%s'') TO (''%s'')', to_date(relname, '\"operations\"_YYYY_MM'), \
                (to_date(relname, '\"operations\"_YYYY_MM') + interval '1 month')::date)";
    assert_eq!(text(&mut session, question).unwrap(), "");
}

#[test]
fn a_second_setup_changes_nothing() {
    let server = Server::primary().with_extension().start().unwrap();
    let mut session = server.session().unwrap();
    session.batch_execute("CALL operations_test_data('2025-08-01', '2025-11-30', 1000, 1)").unwrap();
    let before = state(&mut session).unwrap();
    session.batch_execute("CALL operations_setup()").unwrap();
    assert_eq!(state(&mut session).unwrap(), before);
}

#[test]
fn setup_can_be_called_again_after_retention() {
    let server = Server::primary().with_extension().start().unwrap();
    let mut session = server.session().unwrap();
    session.batch_execute("CALL operations_maintain_partitions()").unwrap();
    session.batch_execute("CALL operations_maintain_partitions(3, 2)").unwrap();
    let before = text(&mut session, PARTITIONS).unwrap();
    session.batch_execute("CALL operations_setup()").map_err(operations_cluster::Error::from).unwrap();
    assert_eq!(text(&mut session, PARTITIONS).unwrap(), before);
}

#[test]
fn procedures_have_the_names_parameters_and_defaults_of_the_contract() {
    let server = Server::primary().with_extension().start().unwrap();
    let mut session = server.session().unwrap();
    let question = "SELECT proname, pg_get_function_arguments(oid) FROM pg_proc \
                    WHERE pronamespace = 'public'::regnamespace AND prokind = 'p' ORDER BY 1";
    let procedures = text(&mut session, question).unwrap();
    for expected in [
        "change_status|IN p_batch integer DEFAULT 20000",
        "operation_insert_one|",
        "operations_maintain_partitions|IN p_months_ahead integer DEFAULT 3, \
         IN p_retain_months integer DEFAULT NULL::integer",
        "operations_schedule|",
        "operations_setup|",
        "operations_test_data|IN p_start_date date, IN p_end_date date, IN p_rows_total bigint, \
         IN p_seed bigint DEFAULT NULL::bigint, IN p_workers integer DEFAULT NULL::integer",
        "operations_unschedule|",
    ] {
        assert!(procedures.lines().any(|line| line == expected), "{expected:?} is not in:\n{procedures}");
    }
}

#[test]
fn every_object_has_a_comment() {
    let server = Server::primary().with_extension().start().unwrap();
    let mut session = server.session().unwrap();
    // Event triggers and the like are members, too; sequences and row types belong to a table that has a comment.
    let members = "SELECT pg_describe_object(classid, objid, 0) FROM pg_depend \
         WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e' \
         AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'operations_ext') \
         AND NOT (classid = 'pg_class'::regclass AND EXISTS (SELECT FROM pg_class WHERE oid = objid AND relkind IN ('S', 'i'))) \
         AND NOT (classid = 'pg_type'::regclass AND EXISTS (SELECT FROM pg_type WHERE oid = objid AND typtype NOT IN ('e', 'd'))) \
         AND coalesce(obj_description(objid, classid::regclass::name), '') = ''";
    assert_eq!(text(&mut session, members).unwrap(), "");
    let made = "SELECT relation FROM (VALUES ('operations'), ('client_type_sum_mv')) v(relation) \
                WHERE coalesce(obj_description(relation::regclass, 'pg_class'), '') = ''";
    assert_eq!(text(&mut session, made).unwrap(), "");
}

#[test]
fn public_may_call_nothing_that_writes() {
    let server = Server::primary().with_extension().start().unwrap();
    let mut session = server.session().unwrap();
    let open = "SELECT oid::regprocedure FROM pg_proc WHERE prokind = 'p' \
                AND pronamespace = 'public'::regnamespace AND has_function_privilege('public', oid, 'EXECUTE')";
    assert_eq!(text(&mut session, open).unwrap(), "");
    let writable = "SELECT relname, privilege FROM pg_class, unnest(ARRAY['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) privilege \
                    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') \
                    AND has_table_privilege('public', oid, privilege)";
    assert_eq!(text(&mut session, writable).unwrap(), "");
}

#[test]
fn a_role_without_rights_is_refused() {
    let server = Server::primary().with_extension().start().unwrap();
    let mut admin = server.session().unwrap();
    admin.batch_execute(&format!("CREATE ROLE stranger LOGIN PASSWORD '{}'", server.password())).unwrap();
    let before = state(&mut admin).unwrap();
    let mut stranger = server.connect_as("stranger", operations_cluster::DATABASE).unwrap();
    for call in WRITING_CALLS {
        let error = db_error(stranger.batch_execute(&format!("CALL {call}")));
        assert_eq!(error.unwrap().code().code(), "42501", "{call}");
    }
    // To be allowed to call is not to be allowed to write: the procedures act as their caller.
    admin.batch_execute("GRANT EXECUTE ON ALL PROCEDURES IN SCHEMA public TO stranger").unwrap();
    for call in ["operations_test_data('2025-08-01', '2025-08-31', 10, 1)", "operation_insert_one()", "change_status()"]
    {
        let error = db_error(stranger.batch_execute(&format!("CALL {call}")));
        assert_eq!(error.unwrap().code().code(), "42501", "{call}");
    }
    assert_eq!(state(&mut admin).unwrap(), before);
}

#[test]
fn any_schema_will_do_and_need_not_be_on_the_search_path() {
    for schema in ["operations_lab", "Operations Lab"] {
        let server = Server::primary().start().unwrap();
        let mut session = server.session().unwrap();
        session
            .batch_execute(&format!("CREATE SCHEMA \"{schema}\"; CREATE EXTENSION operations_ext SCHEMA \"{schema}\""))
            .unwrap();
        for call in WRITING_CALLS {
            session.batch_execute(&format!("CALL \"{schema}\".{call}")).unwrap_or_else(|error| {
                let text = operations_cluster::Error::from(error).to_string();
                unreachable!("{schema} {call}: {text}")
            });
        }
        let elsewhere = "SELECT oid::regclass FROM pg_class WHERE relname LIKE 'operation%' \
                         AND relnamespace NOT IN (SELECT oid FROM pg_namespace WHERE nspname LIKE '%perations%ab')";
        assert_eq!(text(&mut session, elsewhere).unwrap(), "");
        session.batch_execute(&format!("SET search_path = \"{schema}\"")).unwrap();
        let rows = "SELECT count(*) FROM operations";
        assert_eq!(value::<i64>(&mut session, rows).unwrap(), 11, "{schema}");
    }
}

#[test]
fn dropping_the_extension_does_not_take_the_rows_along() {
    let server = Server::primary().with_extension().start().unwrap();
    let mut session = server.session().unwrap();
    session.batch_execute("CALL operations_test_data('2025-08-01', '2025-11-30', 1000, 1)").unwrap();
    let before = text(&mut session, CONTENTS).unwrap();
    // Refused, for the table uses the extension's type.
    let error = db_error(session.batch_execute("DROP EXTENSION operations_ext")).unwrap();
    assert_eq!(error.code().code(), "2BP01", "{error:?}");
    assert_eq!(text(&mut session, CONTENTS).unwrap(), before);
    session.batch_execute("DROP EXTENSION operations_ext CASCADE").unwrap();
    let rows = "SELECT count(*), count(DISTINCT operation_guid) FROM operations";
    assert_eq!(text(&mut session, rows).unwrap(), "1000|1000");

    // The column that had its type is gone; what to do is said.
    session.batch_execute("CREATE EXTENSION operations_ext").unwrap();
    let error = db_error(session.batch_execute("CALL operations_setup()")).unwrap();
    let expected = ("42703", "column \"operation_type\" of \"public.operations\" does not exist");
    assert_eq!((error.code().code(), error.message()), expected, "{error:?}");
    assert!(error.detail().is_some_and(|detail| detail.contains("CASCADE")), "{error:?}");
    assert!(error.hint().is_some_and(|hint| hint.ends_with("CALL public.operations_setup();")), "{error:?}");
    session.batch_execute("ALTER TABLE operations RENAME TO before; CALL operations_setup()").unwrap();
    assert_eq!(text(&mut session, "SELECT count(*) FROM before").unwrap(), "1000");
    // The table of before has the name of its index.
    let indexes =
        "SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = 'operations'::regclass AND NOT indisprimary";
    let index = "CREATE INDEX operations_status_id_idx_2 ON ONLY public.operations USING btree (status, id)";
    assert_eq!(text(&mut session, indexes).unwrap(), index);
    session.batch_execute("CALL operations_setup()").unwrap();
    assert_eq!(text(&mut session, indexes).unwrap(), index, "it is known by its columns");
}

#[test]
fn a_session_outlives_the_extension_that_it_has_used() {
    let server = Server::primary().with_extension().start().unwrap();
    let mut session = server.session().unwrap();
    for schema in ["public", "elsewhere", "public"] {
        session.batch_execute("DROP EXTENSION operations_ext CASCADE; DROP TABLE IF EXISTS operations").unwrap();
        session
            .batch_execute(&format!(
                "CREATE SCHEMA IF NOT EXISTS {schema}; DROP TABLE IF EXISTS {schema}.operations; \
                 CREATE EXTENSION operations_ext SCHEMA {schema}"
            ))
            .unwrap();
        for call in WRITING_CALLS {
            session.batch_execute(&format!("CALL {schema}.{call}")).map_err(operations_cluster::Error::from).unwrap();
        }
    }
}
