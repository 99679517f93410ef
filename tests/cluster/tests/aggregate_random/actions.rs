//! What a session may do next: one statement, or a few, made up from the random numbers.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use chacha20::ChaCha8Rng;
use rand::RngExt;
use rand::seq::IndexedRandom;

/// Ends a DETACH CONCURRENTLY that was cancelled while it waited: until then PostgreSQL refuses every other one.
const FINALIZE: &str = "DO $$ DECLARE part regclass; BEGIN \
    SELECT inhrelid INTO part FROM pg_inherits WHERE inhparent = 'operations'::regclass AND inhdetachpending; \
    IF FOUND THEN EXECUTE format('ALTER TABLE operations DETACH PARTITION %s FINALIZE', part); END IF; END $$";

const COLUMNS: &str = "operation_date, operation_guid, client_id, operation_type, amount, status, message";

/// Few clients, so that sessions meet in the same sums.
const CLIENTS: i32 = 12;

/// A partition, or what was one, with its bounds as DDL has them.
#[derive(Clone)]
pub struct Part {
    pub name: String,
    pub bounds: String,
}

/// What all sessions know of.
#[derive(Default)]
pub struct World {
    /// Tables that were detached, or made to be attached.
    pub loose: Mutex<Vec<Part>>,
    /// Whether MERGE keeps to the snapshot of its transaction on this server.
    pub merge_keeps_to_snapshot: bool,
    pub tables_made: AtomicU64,
}

/// What is done.
pub enum Command {
    Sql(String),
    /// COPY into this table, of these lines.
    Copy(String, String),
}

/// Something to do, and what PostgreSQL may say against it because of what others do.
pub struct Action {
    pub kind: &'static str,
    pub command: Command,
    pub refused_by: &'static [&'static str],
}

/// Where the action will run.
#[derive(Clone, Copy, PartialEq)]
pub enum Scope {
    /// On its own.
    Alone,
    /// In a transaction.
    Transaction,
    /// In a transaction of a role that may write `operations` and no more.
    Writer,
}

/// Up to 16.6 or later, MERGE does not refuse to change a row that was changed after the snapshot of its transaction, as UPDATE
/// does and as later releases do. What such a transaction sees then is no state that ever was.
const MERGE: &str = "merge";

/// Makes up actions.
pub struct Actions<'a> {
    pub rng: &'a mut ChaCha8Rng,
    pub world: &'a World,
    pub parts: &'a [Part],
}

/// How often, where, and what.
type Entry = (u32, &'static [Scope], &'static str, fn(&mut Actions) -> Command, &'static [&'static str]);

const ANY: &[Scope] = &[Scope::Alone, Scope::Transaction, Scope::Writer];
const OWNER: &[Scope] = &[Scope::Alone, Scope::Transaction];
const ALONE: &[Scope] = &[Scope::Alone];

/// 23514: no partition for the row, or the row not for the partition; 23505: the key is taken; 42P01: the partition is gone.
const WRITE: &[&str] = &["23514", "23505", "42P01"];
/// 55006: this session itself uses the table; 42P17: another partition has the range; 42804, 42703: columns differ; 42809: not or
/// already a partition; 55000: a detach is pending.
const DDL: &[&str] =
    &["42P01", "42P07", "55006", "42P17", "42804", "42703", "42701", "42809", "55000", "23514", "23505"];

const ENTRIES: &[Entry] = &[
    (14, ANY, "insert", |a| a.insert(), WRITE),
    (6, ANY, "insert rows", |a| a.insert_rows(), WRITE),
    (6, ANY, "on conflict", |a| a.on_conflict(), WRITE),
    (14, ANY, "update", |a| a.update(), WRITE),
    (5, ANY, "delete", |a| a.delete(), WRITE),
    (6, ANY, MERGE, |a| a.merge(), WRITE),
    (5, ANY, "copy", |a| a.copy(), WRITE),
    (3, ANY, "move by a writing query", |a| a.writing_query(), WRITE),
    (3, ANY, "caught error", |a| a.caught_error(), WRITE),
    (8, OWNER, "write to a partition", |a| a.write_partition(), DDL),
    (2, OWNER, "copy to a partition", |a| a.copy_partition(), DDL),
    (3, OWNER, "truncate a partition", |a| a.truncate_partition(), DDL),
    (1, OWNER, "truncate the table", |_| sql("TRUNCATE operations"), DDL),
    (2, OWNER, "detach", |a| a.detach(), DDL),
    (1, ALONE, "detach concurrently", |a| a.detach_concurrently(), DDL),
    (3, OWNER, "detach, change, attach", |a| a.detach_change_attach(), DDL),
    (4, OWNER, "change what is detached", |a| a.change_loose(), DDL),
    (12, OWNER, "attach", |a| a.attach(), DDL),
    (3, OWNER, "make and attach", |a| a.make_and_attach(), DDL),
    (1, OWNER, "drop a partition", |a| a.drop_partition(), DDL),
    (1, OWNER, "drop what is detached", |a| a.drop_loose(), DDL),
    (6, OWNER, "operations_test_data", |a| a.test_data(), DDL),
    (3, OWNER, "operation_insert_one", |_| sql("CALL operation_insert_one()"), DDL),
    (2, OWNER, "operations_maintain_partitions", |_| sql("CALL operations_maintain_partitions()"), DDL),
    (16, OWNER, "change_status", |a| a.change_status(), DDL),
    (1, OWNER, "add a column", |_| sql("ALTER TABLE operations ADD COLUMN IF NOT EXISTS extra integer DEFAULT 7"), DDL),
    (1, OWNER, "add a column, rewrite", |a| a.add_volatile(), DDL),
    (
        2,
        OWNER,
        "drop the columns",
        |_| sql("ALTER TABLE operations DROP COLUMN IF EXISTS extra, DROP COLUMN IF EXISTS volatile"),
        DDL,
    ),
    (1, OWNER, "disable triggers", |a| a.disable_triggers(), DDL),
    (1, OWNER, "disable triggers, change, enable", |a| a.disable_change_enable(), DDL),
    (1, OWNER, "enable triggers", |_| sql("ALTER TABLE operations ENABLE TRIGGER USER"), DDL),
    (3, OWNER, "enable triggers always", |_| sql(ENABLE_ALWAYS), DDL),
    (1, OWNER, "operations_setup", |_| sql("CALL operations_setup()"), DDL),
    (2, ALONE, "vacuum full", |a| a.vacuum_full(), DDL),
    (1, ALONE, "vacuum", |_| sql("VACUUM (ANALYZE) operations"), DDL),
    (1, OWNER, "refresh", |a| a.refresh(), DDL),
    (4, OWNER, "as a replica applies changes", |a| a.replica_role(), WRITE),
    (1, ALONE, "kill a session", |a| a.kill(), &[]),
];

const ENABLE_ALWAYS: &str = "DO $$ DECLARE t name; BEGIN \
    FOR t IN SELECT tgname FROM pg_trigger WHERE tgrelid = 'operations'::regclass AND NOT tgisinternal LOOP \
    EXECUTE format('ALTER TABLE operations ENABLE ALWAYS TRIGGER %I', t); END LOOP; END $$";

/// The names of all kinds.
pub fn kinds() -> impl Iterator<Item = &'static str> {
    ENTRIES.iter().map(|entry| entry.2)
}

impl Actions<'_> {
    /// The next action, in a transaction that keeps to one snapshot or in one that does not.
    pub fn next(&mut self, scope: Scope, one_snapshot: bool) -> Action {
        let no_merge = one_snapshot && !self.world.merge_keeps_to_snapshot;
        let fits = move |entry: &&Entry| entry.1.contains(&scope) && !(no_merge && entry.2 == MERGE);
        let fit = || ENTRIES.iter().filter(fits);
        let mut ticket = self.rng.random_range(0..fit().map(|entry| entry.0).sum());
        for (weight, _, kind, make, refused_by) in fit() {
            if ticket < *weight {
                return Action { kind, command: make(self), refused_by };
            }
            ticket -= weight;
        }
        Action { kind: "nothing", command: sql("SELECT"), refused_by: &[] }
    }

    /// An action of this kind.
    pub fn of(&mut self, kind: &str) -> Option<Action> {
        let (_, _, kind, make, refused_by) = ENTRIES.iter().find(|entry| entry.2 == kind)?;
        Some(Action { kind, command: make(self), refused_by })
    }

    fn below(&mut self, end: i32) -> i32 {
        self.rng.random_range(0..end)
    }

    fn amount(&mut self) -> String {
        format!("{}.{:02}", self.below(900) + 1, self.below(100))
    }

    fn kind(&mut self) -> &'static str {
        ["online", "offline"][self.rng.random_range(0..2)]
    }

    /// A day of the four months that setup makes, as SQL.
    fn day(&mut self) -> String {
        format!("date '2025-08-01' + {}", self.below(122))
    }

    /// A day of a partition, as SQL.
    fn day_of(&mut self, part: &Part) -> String {
        let first = part.bounds.split('\'').nth(1).unwrap_or("2025-08-01");
        format!("date '{first}' + {}", self.below(28))
    }

    fn row(&mut self) -> String {
        format!(
            "({}, gen_random_uuid(), {}, '{}', {}, {}, '{{}}')",
            self.day(),
            self.below(CLIENTS),
            self.kind(),
            self.amount(),
            self.below(2),
        )
    }

    /// Some of the rows, often those of one client.
    fn some(&mut self) -> String {
        match self.below(4) {
            0 => format!("client_id = {}", self.below(CLIENTS)),
            1 => format!("id % 23 = {}", self.below(23)),
            2 => format!("operation_date = {} AND id % 2 = 0", self.day()),
            _ => format!("client_id = {} AND id % 5 = {}", self.below(CLIENTS), self.below(5)),
        }
    }

    /// What an UPDATE sets.
    fn assignment(&mut self) -> String {
        match self.below(9) {
            0 | 1 => "status = 1 - status".to_owned(),
            2 => "status = 1".to_owned(),
            3 => format!("amount = {}", self.amount()),
            4 => format!("client_id = {}", self.below(CLIENTS)),
            5 => format!("operation_type = '{}'", self.kind()),
            6 => format!("operation_date = {}", self.day()),
            7 => format!("operation_date = {}, amount = amount + 1, status = 1 - status", self.day()),
            _ => "message = '{\"seen\": true}'".to_owned(),
        }
    }

    fn part(&mut self) -> Part {
        let nowhere = || Part {
            name: "operations_nowhere".to_owned(),
            bounds: "FOR VALUES FROM ('2025-08-01') TO ('2025-09-01')".to_owned(),
        };
        self.parts.choose(self.rng).cloned().unwrap_or_else(nowhere)
    }

    fn insert(&mut self) -> Command {
        sql(format!("INSERT INTO operations ({COLUMNS}) VALUES {}", self.row()))
    }

    fn insert_rows(&mut self) -> Command {
        let rows: Vec<_> = (0..self.rng.random_range(2..12)).map(|_| self.row()).collect();
        sql(format!("INSERT INTO operations ({COLUMNS}) VALUES {}", rows.join(", ")))
    }

    /// Rows of a few keys that all sessions fight for.
    fn keyed_rows(&mut self) -> String {
        let first = self.below(30);
        let rows: Vec<_> = (0..self.rng.random_range(1..4))
            .map(|step| {
                let key = first + step;
                let row = self.row();
                let rest = row.split_once(", gen_").map_or("", |(_, rest)| rest);
                // The day follows from the id, so that the whole key is met again.
                format!("({}, date '2025-08-01' + {}, gen_{rest}", 1_000_000_000 + key, key * 4)
            })
            .collect();
        rows.join(", ")
    }

    fn on_conflict(&mut self) -> Command {
        let rows = self.keyed_rows();
        let otherwise = match self.below(4) {
            0 => "NOTHING".to_owned(),
            1 => "UPDATE SET status = 1 - operations.status WHERE operations.amount > 300".to_owned(),
            2 => "UPDATE SET amount = excluded.amount, client_id = excluded.client_id".to_owned(),
            _ => "UPDATE SET status = excluded.status, operation_type = excluded.operation_type".to_owned(),
        };
        sql(format!(
            "INSERT INTO operations (id, {COLUMNS}) OVERRIDING SYSTEM VALUE VALUES {rows} \
             ON CONFLICT (operation_date, id) DO {otherwise}"
        ))
    }

    fn update(&mut self) -> Command {
        sql(format!("UPDATE operations SET {} WHERE {}", self.assignment(), self.some()))
    }

    fn delete(&mut self) -> Command {
        sql(format!("DELETE FROM operations WHERE {}", self.some()))
    }

    fn merge(&mut self) -> Command {
        let rows = self.keyed_rows();
        let assignment =
            self.assignment().replace("= 1 - status", "= 1 - o.status").replace("= amount +", "= o.amount +");
        sql(format!(
            "MERGE INTO operations o USING (VALUES {rows}) s (id, {COLUMNS}) \
             ON o.operation_date = s.operation_date AND o.id = s.id \
             WHEN MATCHED AND s.client_id % 4 = 0 THEN DELETE \
             WHEN MATCHED THEN UPDATE SET {assignment} \
             WHEN NOT MATCHED THEN INSERT (id, {COLUMNS}) OVERRIDING SYSTEM VALUE \
             VALUES (s.id, s.operation_date, s.operation_guid, s.client_id, s.operation_type::operation_type_enum, \
                     s.amount, s.status, s.message::jsonb)"
        ))
    }

    fn lines(&mut self, first: &str, days: i32, with_id: bool) -> String {
        let mut lines = String::new();
        for _ in 0..self.rng.random_range(1..40) {
            if with_id {
                lines.push_str(&format!("{}\t", 2_000_000_000 + self.rng.random_range(0..1_000_000_000_i64)));
            }
            let day = self.below(days);
            lines.push_str(&format!(
                "{first}-{:02}\t{:08x}-0000-4000-8000-000000000000\t{}\t{}\t{}\t{}\t{{}}\n",
                day + 1,
                self.rng.random_range(0..u32::MAX),
                self.below(CLIENTS),
                self.kind(),
                self.amount(),
                self.below(2),
            ));
        }
        lines
    }

    fn copy(&mut self) -> Command {
        let month = 8 + self.below(4);
        let lines = self.lines(&format!("2025-{month:02}"), 28, false);
        Command::Copy(format!("COPY operations ({COLUMNS}) FROM STDIN"), lines)
    }

    fn copy_partition(&mut self) -> Command {
        let part = self.part();
        let month = part.bounds.split('\'').nth(1).and_then(|day| day.get(..7)).unwrap_or("2025-08").to_owned();
        let lines = self.lines(&month, 28, true);
        Command::Copy(format!("COPY {} (id, {COLUMNS}) FROM STDIN", part.name), lines)
    }

    fn writing_query(&mut self) -> Command {
        let (some, day) = (self.some(), self.day());
        sql(format!(
            "WITH gone AS (DELETE FROM operations WHERE {some} RETURNING *) \
             INSERT INTO operations ({COLUMNS}) SELECT {day}, operation_guid, client_id, operation_type, amount, status, message \
             FROM gone"
        ))
    }

    fn caught_error(&mut self) -> Command {
        let (first, second) = (self.assignment(), self.some());
        sql(format!(
            "DO $$ BEGIN UPDATE operations SET {first} WHERE {second}; \
             BEGIN DELETE FROM operations WHERE {second}; RAISE EXCEPTION 'no'; EXCEPTION WHEN raise_exception THEN NULL; END; \
             UPDATE operations SET status = 1 WHERE {second}; END $$"
        ))
    }

    /// Statements aimed at a table that is or was a partition, whose rows need an id of their own there: up to PostgreSQL 16 it is no
    /// identity column.
    fn writes_to(&mut self, part: &Part) -> String {
        let day = self.day_of(part);
        let row = self.row();
        let rest = row.split_once(", gen_").map_or("", |(_, rest)| rest);
        let insert = format!(
            "INSERT INTO {} (id, {COLUMNS}) OVERRIDING SYSTEM VALUE \
             VALUES (nextval(pg_get_serial_sequence('operations', 'id')), {day}, gen_{rest}",
            part.name
        );
        let update = format!("UPDATE {} SET {} WHERE {}", part.name, self.assignment(), self.some());
        let delete = format!("DELETE FROM {} WHERE {}", part.name, self.some());
        match self.below(5) {
            0 | 1 => insert,
            2 | 3 => update,
            _ => delete,
        }
    }

    fn write_partition(&mut self) -> Command {
        let part = self.part();
        sql(self.writes_to(&part))
    }

    fn truncate_partition(&mut self) -> Command {
        sql(format!("TRUNCATE {}", self.part().name))
    }

    fn set_loose(&mut self, part: Part) {
        if let Ok(mut loose) = self.world.loose.lock() {
            loose.push(part);
        }
    }

    /// One of the loose tables; taken off the list if `take`.
    fn loose(&mut self, take: bool) -> Part {
        let found = self.world.loose.lock().ok().and_then(|mut loose| match loose.len() {
            0 => None,
            len => {
                let index = self.rng.random_range(0..len);
                Some(if take { loose.swap_remove(index) } else { loose[index].clone() })
            }
        });
        found.unwrap_or_else(|| self.part())
    }

    fn detach(&mut self) -> Command {
        let part = self.part();
        let statement = format!("ALTER TABLE operations DETACH PARTITION {}", part.name);
        self.set_loose(part);
        sql(statement)
    }

    fn detach_concurrently(&mut self) -> Command {
        let part = self.part();
        let statement = format!("ALTER TABLE operations DETACH PARTITION {} CONCURRENTLY", part.name);
        self.set_loose(part);
        sql(statement)
    }

    fn detach_change_attach(&mut self) -> Command {
        let part = self.part();
        let writes = self.writes_to(&part);
        let Part { name, bounds } = part;
        sql(format!(
            "ALTER TABLE operations DETACH PARTITION {name}; {writes}; ALTER TABLE operations ATTACH PARTITION {name} {bounds}"
        ))
    }

    fn change_loose(&mut self) -> Command {
        let part = self.loose(false);
        sql(self.writes_to(&part))
    }

    fn attach(&mut self) -> Command {
        let Part { name, bounds } = self.loose(true);
        sql(format!("{FINALIZE}; ALTER TABLE operations ATTACH PARTITION {name} {bounds}"))
    }

    /// A partition with rows, of a month that nobody else makes one for.
    fn make_and_attach(&mut self) -> Command {
        let (month, rows) = (self.below(6) + 1, self.rng.random_range(1..60));
        let number = self.world.tables_made.fetch_add(1, Ordering::Relaxed);
        let name = format!("made_{number}");
        let bounds = format!("FOR VALUES FROM ('2030-{month:02}-01') TO ('2030-{:02}-01')", month + 1);
        let statement = format!(
            "CREATE TABLE {name} (LIKE operations INCLUDING CONSTRAINTS INCLUDING DEFAULTS); \
             INSERT INTO {name} (id, {COLUMNS}) SELECT nextval(pg_get_serial_sequence('operations', 'id')), \
             date '2030-{month:02}-01' + g % 28, gen_random_uuid(), g % {CLIENTS}, 'online', g, g % 2, '{{}}' \
             FROM generate_series(1, {rows}) g; \
             ALTER TABLE operations ATTACH PARTITION {name} {bounds}"
        );
        sql(statement)
    }

    fn drop_partition(&mut self) -> Command {
        sql(format!("DROP TABLE {}", self.part().name))
    }

    fn drop_loose(&mut self) -> Command {
        let part = self.loose(true);
        sql(format!("DROP TABLE {}", part.name))
    }

    fn test_data(&mut self) -> Command {
        let (rows, seed) = (self.rng.random_range(1..60), self.rng.random::<u16>());
        sql(format!("CALL operations_test_data('2025-08-01', '2025-11-30', {rows}, {seed})"))
    }

    fn change_status(&mut self) -> Command {
        sql(format!("CALL change_status({})", self.below(60) + 1))
    }

    fn add_volatile(&mut self) -> Command {
        sql("ALTER TABLE operations ADD COLUMN IF NOT EXISTS volatile double precision DEFAULT random()")
    }

    fn disable_triggers(&mut self) -> Command {
        let name = if self.below(3) == 0 { "operations".to_owned() } else { self.part().name };
        sql(format!("ALTER TABLE {name} DISABLE TRIGGER USER"))
    }

    fn disable_change_enable(&mut self) -> Command {
        let part = self.part();
        let writes = self.writes_to(&part);
        let name = part.name;
        sql(format!("ALTER TABLE {name} DISABLE TRIGGER USER; {writes}; ALTER TABLE {name} ENABLE TRIGGER USER"))
    }

    fn vacuum_full(&mut self) -> Command {
        sql(format!("VACUUM FULL {}", self.part().name))
    }

    fn refresh(&mut self) -> Command {
        let how = ["", "", "CONCURRENTLY"][self.rng.random_range(0..3)];
        sql(format!("REFRESH MATERIALIZED VIEW {how} client_type_sum_mv"))
    }

    /// Ordinary triggers stand aside in a session like this.
    fn replica_role(&mut self) -> Command {
        let (insert, assignment, some) = (self.row(), self.assignment(), self.some());
        sql(format!(
            "SET session_replication_role = replica; INSERT INTO operations ({COLUMNS}) VALUES {insert}; \
             UPDATE operations SET {assignment} WHERE {some}; SET session_replication_role = origin"
        ))
    }

    fn kill(&mut self) -> Command {
        let victim = self.below(8);
        sql(format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE application_name = 'actor {victim}' AND pid <> pg_backend_pid()"
        ))
    }
}

fn sql(text: impl Into<String>) -> Command {
    Command::Sql(text.into())
}
