//! A session that is kept to a server, and never waited for longer than a limit.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::config::Host;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, NoTls, Row, Statement};

use crate::connect::{Refusal, guarded};
use crate::metrics::{Collector, METRICS, Metric, OWNERS, Sample, Source};
use crate::target::Target;

/// Older ones have no answer to some questions.
const OLDEST: i32 = 15;

/// The schema is put into queries, also between quotes: one with a quote or a percent sign in its name is not used.
const VERSION: &str = "\
    SELECT current_setting('server_version_num')::int, \
           (SELECT quote_ident(n.nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace \
            WHERE e.extname = 'operations_ext' AND n.nspname !~ '[''%\\\\]')";

/// What tells a replica from a primary, and that the server answers.
const BEAT: &str = "SELECT pg_is_in_recovery()";

/// A session.
pub struct Session {
    client: Client,
    driver: JoinHandle<()>,
    version: i32,
    schema: Option<String>,
    is_stuck: bool,
    statements: HashMap<String, Statement>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Session {
    /// Begins a session whose statements end after `statements`, if it is there within `limit`.
    pub async fn begin(target: &Target, limit: Duration, statements: Duration) -> Result<Self, Refusal> {
        let begun = timeout(limit, Self::try_begin(target, statements)).await;
        begun.unwrap_or_else(|_| Err(silent(limit)))
    }

    async fn try_begin(target: &Target, statements: Duration) -> Result<Self, Refusal> {
        let limits = format!(
            "-c statement_timeout={} -c lock_timeout=500 -c idle_in_transaction_session_timeout=10000",
            statements.as_millis()
        );
        let config = asynchronous(&guarded(target.config(), &limits));
        let (client, connection) = config.connect(NoTls).await.map_err(|error| Refusal::of(&error))?;
        let driver = tokio::spawn(async move {
            // Whoever asks next gets the error.
            let _ = connection.await;
        });
        let mut session =
            Self { client, driver, version: 0, schema: None, is_stuck: false, statements: HashMap::new() };
        let row = session.client.query_one(VERSION, &[]).await.map_err(|error| Refusal::of(&error))?;
        session.version = row.try_get(0).map_err(|error| Refusal::of(&error))?;
        session.schema = row.try_get(1).map_err(|error| Refusal::of(&error))?;
        if session.version / 10_000 < OLDEST {
            let major = session.version / 10_000;
            return Err(Refusal::Other(format!("it is PostgreSQL {major}, and this needs {OLDEST} or later")));
        }
        Ok(session)
    }

    /// Whether it is a replica.
    pub async fn beat(&mut self, limit: Duration) -> Result<bool, Refusal> {
        let rows = self.query(BEAT, &[], limit).await?;
        rows.first().map_or(Ok(false), |row| row.try_get(0).map_err(|error| Refusal::of(&error)))
    }

    /// Asks a query, in which `@schema@` is that of the extension. Statements are prepared once.
    pub async fn query(
        &mut self,
        query: &str,
        arguments: &[&(dyn ToSql + Sync)],
        limit: Duration,
    ) -> Result<Vec<Row>, Refusal> {
        let asked = timeout(limit, self.try_query(query, arguments)).await;
        asked.unwrap_or_else(|_| {
            self.is_stuck = true;
            Err(silent(limit))
        })
    }

    async fn try_query(&mut self, query: &str, arguments: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, Refusal> {
        let statement = match self.statements.get(query) {
            Some(statement) => statement.clone(),
            None => {
                let text = match (&self.schema, query.contains("@schema@")) {
                    (Some(schema), true) => query.replace("@schema@", schema),
                    (None, true) => return Err(no_extension()),
                    (_, false) => query.to_owned(),
                };
                let prepared = self.client.prepare(&text).await.map_err(|error| Refusal::of(&error))?;
                self.statements.insert(query.to_owned(), prepared.clone());
                prepared
            }
        };
        self.client.query(&statement, arguments).await.map_err(|error| Refusal::of(&error))
    }

    /// The values of a collector, their label `server` being `server`.
    pub async fn collect(
        &mut self,
        collector: &'static Collector,
        server: &str,
        limit: Duration,
    ) -> Result<Vec<Sample>, Refusal> {
        let query = collector.query(self.version);
        let rows = match collector.reads_operations {
            true => self.query_operations(query, limit).await?,
            false => self.query(query, &[], limit).await?,
        };
        samples(collector, server, &rows).map_err(Refusal::Other)
    }

    /// Asks a query that reads rows of `operations`, if all of them are superusers'. It is not even planned if they are not.
    async fn query_operations(&mut self, query: &str, limit: Duration) -> Result<Vec<Row>, Refusal> {
        let asked = timeout(limit, async {
            let rows = self.try_query_operations(query).await;
            let end = if rows.is_ok() { "COMMIT" } else { "ROLLBACK" };
            let ended = self.client.batch_execute(end).await.map_err(|error| Refusal::of(&error));
            rows.and_then(|rows| ended.map(|()| rows))
        });
        let asked = asked.await;
        asked.unwrap_or_else(|_| {
            self.is_stuck = true;
            Err(silent(limit))
        })
    }

    async fn try_query_operations(&mut self, query: &str) -> Result<Vec<Row>, Refusal> {
        let Some(schema) = &self.schema else { return Err(no_extension()) };
        // Who owns the schema could put another table there between the two questions.
        let begin = format!("BEGIN READ ONLY; LOCK TABLE ONLY {schema}.operations IN ACCESS SHARE MODE");
        self.client.batch_execute(&begin).await.map_err(|error| Refusal::of(&error))?;
        if let Some(row) = self.try_query(OWNERS, &[]).await?.first() {
            return Err(Refusal::Other(row.try_get(0).map_err(|error| Refusal::of(&error))?));
        }
        self.try_query(query, &[]).await
    }

    /// Why it is of no use any more: it has ended, or an answer did not come in time. One that did not is still under way.
    pub fn lost(&self) -> Option<Refusal> {
        match (self.is_stuck, self.client.is_closed()) {
            (true, _) => Some(Refusal::Silent("a statement got no answer".to_owned())),
            (_, true) => Some(Refusal::Down("the connection was closed".to_owned())),
            _ => None,
        }
    }

    /// Whether the extension is in the database.
    pub fn has_extension(&self) -> bool {
        self.schema.is_some()
    }
}

fn no_extension() -> Refusal {
    Refusal::Other("the extension operations_ext is not in this database".to_owned())
}

fn silent(limit: Duration) -> Refusal {
    Refusal::Silent(format!("no answer within {} s", limit.as_secs_f32()))
}

/// Columns are metrics of the collector and their labels, by name. A null is no value.
fn samples(collector: &Collector, server: &str, rows: &[Row]) -> Result<Vec<Sample>, String> {
    let mut samples = Vec::with_capacity(rows.len() * 4);
    let of_collector = |metric: &&Metric| matches!(metric.source, Source::Query(name) if name == collector.name);
    for row in rows {
        for metric in METRICS.iter().filter(of_collector) {
            let value: Option<f64> = row.try_get(metric.name).map_err(|error| format!("{}: {error}", metric.name))?;
            let Some(value) = value.filter(|value| value.is_finite()) else {
                continue;
            };
            let mut labels = vec![server.to_owned()];
            for label in &metric.labels[1..] {
                let index = row.columns().iter().position(|column| column.name() == *label);
                let index = index.filter(|index| *row.columns()[*index].type_() == Type::TEXT);
                let index = index.ok_or_else(|| format!("{}: no text column {label}", metric.name))?;
                let text: Option<&str> = row.try_get(index).map_err(|error| format!("{label}: {error}"))?;
                labels.push(text.unwrap_or_default().chars().take(100).collect());
            }
            samples.push(Sample { metric, labels, value });
        }
    }
    Ok(samples)
}

/// Knocks at the door: whether a new session would be let in so far that it could say who it is. It costs the server a process
/// and no log line. A server whose sessions go on may take no new ones, when its first process hangs.
pub async fn knock(target: &Target, limit: Duration) -> Result<(), Refusal> {
    let began = Instant::now();
    let knocked = timeout(limit, try_knock(target)).await;
    match knocked {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) if began.elapsed() < limit => Err(Refusal::Down(format!("error connecting to server: {error}"))),
        _ => Err(silent(limit)),
    }
}

/// PostgreSQL's SSLRequest: its length, and a number that stands for it. Each server answers it with one byte.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

async fn try_knock(target: &Target) -> std::io::Result<()> {
    let config = target.config();
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let mut answer = [0_u8; 1];
    match config.get_hosts().first() {
        Some(Host::Unix(folder)) => {
            let mut stream = UnixStream::connect(folder.join(format!(".s.PGSQL.{port}"))).await?;
            stream.write_all(&SSL_REQUEST).await?;
            stream.read_exact(&mut answer).await?;
        }
        Some(Host::Tcp(host)) => {
            let mut stream = TcpStream::connect((host.as_str(), port)).await?;
            stream.write_all(&SSL_REQUEST).await?;
            stream.read_exact(&mut answer).await?;
        }
        None => {}
    }
    Ok(())
}

/// The same configuration for the asynchronous driver.
fn asynchronous(given: &postgres::Config) -> tokio_postgres::Config {
    let mut config = tokio_postgres::Config::new();
    for host in given.get_hosts() {
        match host {
            Host::Tcp(host) => config.host(host),
            Host::Unix(folder) => config.host_path(folder),
        };
    }
    for port in given.get_ports() {
        config.port(*port);
    }
    if let Some(user) = given.get_user() {
        config.user(user);
    }
    if let Some(database) = given.get_dbname() {
        config.dbname(database);
    }
    if let Some(password) = given.get_password() {
        config.password(password);
    }
    if let Some(options) = given.get_options() {
        config.options(options);
    }
    config.application_name("operations-lab serve");
    config
}
