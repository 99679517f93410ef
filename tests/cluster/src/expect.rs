//! What tests expect of `operations_ext`: its contents as one line to compare, and refusals that tell the user what
//! to do.

use std::time::Duration;

use operations_lab::tools::Major;
use postgres::Client;
use postgres::error::DbError;

use crate::{Error, Server, db_error, text, try_wait, value};

/// How long something that takes a moment may take on a busy machine.
pub const SOON: Duration = Duration::from_secs(300);

/// Count, sum and a hash of all rows of `operations`, whatever their order: equal contents give equal lines.
pub const CONTENTS: &str = "\
    SELECT count(*), coalesce(sum(amount), 0), coalesce(sum(status), 0), \
           coalesce(sum(hashtextextended(o::text, 0)::numeric), 0) FROM operations o";

/// What `client_type_sum_mv` must hold, minus what it holds, and the other way round: no rows when it is right.
pub const AGGREGATE_DIFFERENCE: &str = "\
    WITH truth AS (SELECT client_id, operation_type, sum(amount) AS total_amount \
                   FROM operations WHERE status = 1 GROUP BY 1, 2), \
         view AS (SELECT client_id, operation_type, total_amount FROM client_type_sum_mv) \
    (TABLE truth EXCEPT ALL TABLE view) UNION ALL (TABLE view EXCEPT ALL TABLE truth) LIMIT 5";

/// The same for `client_type_sum_live`, in one statement and so in one snapshot; says which side has the row.
pub const LIVE_DIFFERENCE: &str = "\
    WITH truth AS MATERIALIZED (SELECT client_id, operation_type, sum(amount) AS total_amount \
                                FROM operations WHERE status = 1 GROUP BY 1, 2), \
         live AS MATERIALIZED (SELECT client_id, operation_type, total_amount FROM client_type_sum_live) \
    SELECT 'truth', t.* FROM (TABLE truth EXCEPT ALL TABLE live) t UNION ALL \
    SELECT 'live', l.* FROM (TABLE live EXCEPT ALL TABLE truth) l LIMIT 8";

/// The month partitions, the oldest first, separated by blanks.
pub const PARTITIONS: &str = "\
    SELECT coalesce(string_agg(c.relname::text, ' ' ORDER BY c.relname::text COLLATE \"C\"), '') \
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid \
    WHERE i.inhparent = 'operations'::regclass";

/// The major version of PostgreSQL that is tested.
pub fn major() -> u16 {
    Major::chosen().unwrap_or(Major::DEFAULT).number()
}

/// Runs statements that must succeed.
#[track_caller]
pub fn run(session: &mut Client, statements: &str) {
    if let Err(error) = session.batch_execute(statements) {
        fail(format!("{statements}: {}", Error::from(error)));
    }
}

/// All that a call could change in the database: rows of `operations` (when it exists), every relation, every job.
pub fn state(session: &mut Client) -> Result<String, Error> {
    let relations = text(
        session,
        "SELECT md5(string_agg(format('%s %s %s %s', oid, relname, relkind, relpartbound), ',' ORDER BY oid)) \
         FROM pg_class WHERE relnamespace NOT IN ('pg_toast'::regnamespace)",
    )?;
    let jobs = text(session, "TABLE operations_job")?;
    let exists = text(session, "SELECT to_regclass('operations') IS NOT NULL")?;
    let contents = match exists.as_str() {
        "t" => text(session, CONTENTS)?,
        _ => "no table".to_owned(),
    };
    Ok(format!("relations {relations}\njobs {jobs}\ncontents {contents}"))
}

/// Says that a test cannot be run on this machine. Past libtest and nextest, which show nothing of tests that pass:
/// `make test` repeats at its end what is in the file that `OPERATIONS_SKIPPED` names.
pub fn skipped(test: &str, why: &str) {
    use std::io::Write;
    let line = format!("SKIPPED {test}: {}\n", why.replace('\n', " "));
    // Where nothing can be written, nobody reads either.
    let _ = std::io::stderr().write_all(line.as_bytes());
    if let Some(path) = std::env::var_os("OPERATIONS_SKIPPED")
        && let Ok(mut file) = std::fs::OpenOptions::new().create(true).append(true).open(path)
    {
        let _ = file.write_all(line.as_bytes());
    }
}

/// Runs a statement that must be refused with one of these SQLSTATEs, a DETAIL and a HINT.
#[track_caller]
pub fn expect_refused(session: &mut Client, statement: &str, codes: &[&str]) -> DbError {
    let Some(error) = db_error(session.batch_execute(statement)) else {
        fail(format!("{statement}: was not refused"));
    };
    let code = error.code().code();
    if !codes.contains(&code) {
        fail(format!("{statement}: SQLSTATE {code}, expected one of {codes:?}: {error:?}"));
    }
    for (label, part) in [("DETAIL", error.detail()), ("HINT", error.hint())] {
        if part.is_none_or(|part| part.trim().is_empty()) {
            fail(format!("{statement}: has no {label}: {error:?}"));
        }
    }
    error
}

/// Waits until a query gives this text.
#[track_caller]
pub fn wait_for_text(session: &mut Client, what: &str, query: &str, expected: &str) {
    wait_until(what, SOON, || match text(session, query) {
        Ok(found) if found == expected => Ok(()),
        Ok(found) => Err(format!("{found:?} instead of {expected:?}")),
        Err(error) => Err(error.to_string()),
    });
}

/// Waits until the worker has ended a job so many more times with a status ('succeeded' or 'failed').
#[track_caller]
pub fn wait_for_runs(session: &mut Client, job: &str, status: &str, more: i64) {
    let count =
        format!("SELECT count(*) FROM operations_job_run_details WHERE job_name = '{job}' AND status = '{status}'");
    let history =
        "SELECT job_name, status, count(*), max(return_message) FROM operations_job_run_details GROUP BY 1, 2";
    let mut target = None;
    wait_until(&format!("{more} more {status} runs of {job}"), SOON, || {
        let runs = value::<i64>(session, &count).map_err(|error| error.to_string())?;
        match runs >= *target.get_or_insert(runs + more) {
            true => Ok(()),
            false => Err(text(session, history).map_err(|error| error.to_string())?),
        }
    });
}

/// Checks that every index of `operations` gives the same rows as the tables themselves. amcheck would look
/// deeper, but the development server has no contrib modules.
#[track_caller]
pub fn expect_indexes_match(session: &mut Client) {
    let questions = [
        "SELECT count(*), sum(id), sum(status) FROM operations WHERE status = 0 AND id > 0",
        "SELECT count(*), sum(id), sum(status) FROM operations WHERE status = 1 AND id > 0",
        "SELECT count(*), sum(id), sum(status) FROM operations WHERE operation_date > '2000-01-01' AND id > 0",
    ];
    let sequential = "SET enable_indexscan = off; SET enable_bitmapscan = off; SET enable_indexonlyscan = off; \
                      SET enable_seqscan = on";
    let indexed = "SET enable_indexscan = on; SET enable_indexonlyscan = on; SET enable_bitmapscan = off; \
                   SET enable_seqscan = off";
    for question in questions {
        let mut answers = Vec::new();
        for settings in [sequential, indexed] {
            match session.batch_execute(settings).map_err(Error::from).and_then(|()| text(session, question)) {
                Ok(answer) => answers.push(answer),
                Err(error) => fail(error.to_string()),
            }
        }
        if answers.windows(2).any(|pair| pair[0] != pair[1]) {
            fail(format!("{question}: sequential and index scans differ: {answers:?}"));
        }
    }
    if let Err(error) = session.batch_execute("RESET ALL") {
        fail(error.to_string());
    }
}

/// Checks that a replica has what its primary has, once it has caught up: rows, sums and relations; and that its indexes
/// agree.
#[track_caller]
pub fn expect_equal(primary: &Server, replica: &Server) {
    for query in [
        CONTENTS,
        "SELECT count(*), sum(total_amount), sum(hashtextextended(v::text, 0)::numeric) FROM client_type_sum_mv v",
        "SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relnamespace = 'public'::regnamespace",
    ] {
        let answers = primary
            .wait_for_catchup(replica)
            .and_then(|()| Ok([text(&mut primary.session()?, query)?, text(&mut replica.session()?, query)?]));
        match answers {
            Ok([here, there]) if here == there => {}
            Ok(answers) => fail(format!("{query}: primary and replica differ: {answers:?}")),
            Err(error) => fail(error.to_string()),
        }
    }
    match replica.session() {
        Ok(mut session) => expect_indexes_match(&mut session),
        Err(error) => fail(error.to_string()),
    }
}

/// Waits until all of these sessions wait for a lock, and says what they do if they do not.
#[track_caller]
pub fn wait_blocked(server: &Server, pids: &[i32]) {
    let query = format!(
        "SELECT count(*) FILTER (WHERE wait_event_type = 'Lock') = {}, \
         string_agg(format('%s %s %s', pid, state, wait_event), ', ') FROM pg_stat_activity WHERE pid = ANY('{{{}}}')",
        pids.len(),
        pids.iter().map(i32::to_string).collect::<Vec<_>>().join(","),
    );
    wait_until("sessions to wait for a lock", SOON, || {
        let mut session = server.session().map_err(|error| error.to_string())?;
        let state = text(&mut session, &query).map_err(|error| error.to_string())?;
        if state.starts_with('t') { Ok(()) } else { Err(state) }
    });
}

/// Asks until the answer is `Ok`, and returns its value; fails when that does not come about in time.
#[track_caller]
pub fn wait_until<T>(what: &str, limit: Duration, condition: impl FnMut() -> Result<T, String>) -> T {
    match try_wait(what, limit, condition) {
        Ok(value) => value,
        Err(error) => fail(error.to_string()),
    }
}

#[track_caller]
#[expect(clippy::panic, reason = "a test fails by a panic")]
fn fail(message: String) -> ! {
    panic!("{message}")
}

/// Puts operations into a new server, half of them done, all of them in the sums.
#[track_caller]
pub fn fill_with_sums(session: &mut Client) {
    run(session, "CALL operations_test_data('2025-08-01', '2025-11-30', 2000, 7)");
    run(session, "UPDATE operations SET status = 1 WHERE id % 2 = 0");
    tick(session);
}

/// Lets the sums take in what happened. What a transaction made, only the next one may rely on.
#[track_caller]
pub fn tick(session: &mut Client) {
    run(session, "CALL change_status(1)");
    run(session, "CALL change_status(1)");
}

/// The live view shows what the full query does.
#[track_caller]
pub fn expect_exact(session: &mut Client, after: &str) {
    match text(session, LIVE_DIFFERENCE) {
        Ok(difference) => assert_eq!(difference, "", "{after}"),
        Err(error) => fail(format!("{after}: {error}")),
    }
}
