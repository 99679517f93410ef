//! DROP EXTENSION keeps the rows, and CREATE EXTENSION finds them again.

use operations_cluster::expect::{AGGREGATE_DIFFERENCE, CONTENTS, LIVE_DIFFERENCE, run, tick};
use operations_cluster::{DATABASE, Server, db_error, text};

use crate::{CATALOGS, difference, fill};

/// As docs/reference.md has it.
const DROP: &str =
    "ALTER EXTENSION operations_ext DROP TYPE operation_type_enum; DROP EXTENSION operations_ext CASCADE";

#[test]
fn what_was_kept_is_found_again() {
    let server = Server::primary().start().unwrap();
    let mut session = server.session().unwrap();
    run(&mut session, "CREATE EXTENSION operations_ext");
    fill(&mut session);
    tick(&mut session);
    let (rows, catalogs) = (text(&mut session, CONTENTS).unwrap(), text(&mut session, CATALOGS).unwrap());
    run(&mut session, DROP);
    assert_eq!(text(&mut session, CONTENTS).unwrap(), rows);
    // What is written meanwhile is counted later, too.
    run(&mut session, "UPDATE operations SET status = 1 WHERE id = (SELECT min(id) FROM operations WHERE status = 0)");
    let rows = text(&mut session, CONTENTS).unwrap();

    run(&mut session, "CREATE EXTENSION operations_ext; CALL operations_setup()");
    assert_eq!(text(&mut session, CONTENTS).unwrap(), rows);
    tick(&mut session);
    for query in [AGGREGATE_DIFFERENCE, LIVE_DIFFERENCE, "SELECT * FROM operations_verify_rollup()"] {
        assert_eq!(text(&mut session, query).unwrap(), "", "{query}");
    }
    assert_eq!(difference(&catalogs, &text(&mut session, CATALOGS).unwrap()), Vec::<String>::new());
    // The type is the extension's again: a dump makes it once.
    server.copy_database(DATABASE, &server, "restored").unwrap();
    run(&mut server.connect("restored").unwrap(), "CALL operation_insert_one(); CALL change_status()");
}

#[test]
fn another_type_of_that_name_is_refused() {
    let server = Server::primary().start().unwrap();
    let mut session = server.session().unwrap();
    run(&mut session, "CREATE ROLE stranger; GRANT CREATE ON SCHEMA public TO stranger");
    for made in [
        "CREATE TYPE operation_type_enum AS ENUM ('online', 'offline')",
        "CREATE TYPE operation_type_enum AS ENUM ('offline', 'online', 'other')",
        "CREATE TYPE operation_type_enum AS (offline text)",
        "CREATE DOMAIN operation_type_enum AS text",
        // Of the right form, but somebody could change it later.
        "SET ROLE stranger; CREATE TYPE operation_type_enum AS ENUM ('offline', 'online'); RESET ROLE",
    ] {
        run(&mut session, made);
        let error = db_error(session.batch_execute("CREATE EXTENSION operations_ext")).unwrap();
        assert_eq!(error.code().code(), "42710", "{made}: {error:?}");
        assert!(error.detail().is_some() && error.hint().is_some(), "{made}: {error:?}");
        run(&mut session, "DROP TYPE operation_type_enum CASCADE");
    }
    run(&mut session, "CREATE EXTENSION operations_ext; CALL operations_setup()");
}
