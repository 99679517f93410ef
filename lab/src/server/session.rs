//! Asks a session for one value or for text, looks at what it refused, and promotes its server.

use postgres::Client;
use postgres::error::DbError;
use postgres::types::FromSqlOwned;

use crate::error::Error;

/// The first column of the only row of a query.
pub fn value<T: FromSqlOwned>(session: &mut Client, query: &str) -> Result<T, Error> {
    session
        .query_one(query, &[])
        .and_then(|row| row.try_get(0))
        .map_err(|source| Error::Statement { statement: query.to_owned(), source })
}

/// The rows of a query as text: columns joined by `|`, rows by a line break, NULL as `NULL`. Any type will do.
pub fn text(session: &mut Client, query: &str) -> Result<String, Error> {
    let messages =
        session.simple_query(query).map_err(|source| Error::Statement { statement: query.to_owned(), source })?;
    let mut lines = Vec::new();
    for message in messages {
        if let postgres::SimpleQueryMessage::Row(row) = message {
            let columns: Vec<_> = (0..row.len()).map(|column| row.get(column).unwrap_or("NULL")).collect();
            lines.push(columns.join("|"));
        }
    }
    Ok(lines.join("\n"))
}

/// What PostgreSQL said when it refused a statement; `None` when it did not refuse, or the connection broke.
pub fn db_error<T>(result: Result<T, postgres::Error>) -> Option<DbError> {
    result.err()?.as_db_error().cloned()
}

/// Makes a replica a primary and waits until it is one.
pub fn promote(session: &mut Client) -> Result<(), Error> {
    match text(session, "SELECT pg_promote(true, 60)")?.as_str() {
        "t" => Ok(()),
        _ => Err(Error::Environment("the promotion did not end within 60 s".to_owned())),
    }
}
