//! The statements of a script. Many of them fail, depending on what came before: then they fail in both databases.

use crate::scenes::Writer;
use crate::script::{Bracket, Execution, Statement};

const COLUMNS: &str = "operation_date, operation_guid, client_id, operation_type, amount, status, message";

type Entry = (usize, fn(&mut Writer));

/// Inside of a transaction or not.
const ANYWHERE: &[Entry] = &[
    (24, |w| w.load()),
    (12, |w| w.change_status()),
    (5, maintain),
    (14, write),
    (5, |w| {
        let month = w.month();
        past_the_triggers(w, month);
    }),
    (5, attach),
    (5, index),
    (5, columns),
    (5, triggers),
    (3, persistence),
    (4, way_of_copy),
    (7, cursor),
    (2, caught),
];

/// Not in a transaction, or they fail.
const ALONE: &[Entry] = &[(8, rewrite), (4, concurrently), (4, failing), (3, within_time), (2, check_point)];

/// Some statement on its own.
pub fn alone(w: &mut Writer) {
    let ticket = w.number(100);
    choose(w, if ticket < 40 { ALONE } else { ANYWHERE });
}

/// Some statement in a transaction.
pub fn inside(w: &mut Writer) {
    let ticket = w.number(100);
    match ticket {
        0..=2 => within_time(w),
        3 => rewrite(w),
        _ => choose(w, ANYWHERE),
    }
}

fn choose(w: &mut Writer, entries: &[Entry]) {
    let mut ticket = w.number(entries.iter().map(|entry| entry.0).sum());
    for (weight, write) in entries {
        if ticket < *weight {
            return write(w);
        }
        ticket -= weight;
    }
}

/// The name of a month's partition.
fn table(month: &str) -> String {
    format!("operations_{}", month.replace('-', "_"))
}

fn any_table(w: &mut Writer) -> String {
    table(w.month())
}

fn bounds(month: &str) -> String {
    let (year, number) = month.split_once('-').unwrap_or((month, "1"));
    let number: u32 = number.parse().unwrap_or(1);
    let next = if number == 12 {
        format!("{}-01", year.parse::<u32>().unwrap_or(0) + 1)
    } else {
        format!("{year}-{:02}", number + 1)
    };
    format!("FOR VALUES FROM ('{month}-01') TO ('{next}-01')")
}

/// What replaces a partition's file or takes it away, or reads all of it: in a transaction that may be rolled back.
pub fn past_the_triggers(w: &mut Writer, month: &str) {
    let name = table(month);
    match w.number(12) {
        0..=3 => w.push("truncate a partition", format!("TRUNCATE {name}")),
        4 => w.push("truncate the table", "TRUNCATE operations"),
        5 | 6 => w.push("drop a partition", format!("DROP TABLE {name}")),
        7 => w.push("detach", format!("ALTER TABLE operations DETACH PARTITION {name}")),
        8 => {
            w.push("detach", format!("ALTER TABLE operations DETACH PARTITION {name}"));
            w.push("truncate a partition", format!("TRUNCATE {name}"));
            w.push("attach", format!("ALTER TABLE operations ATTACH PARTITION {name} {}", bounds(month)));
        }
        9 => w.push("create an index", format!("CREATE INDEX ON {name} (client_id, amount)")),
        10 => w.push("set unlogged", format!("ALTER TABLE {name} SET UNLOGGED")),
        _ => w.push("reindex", format!("REINDEX TABLE {name}")),
    }
}

/// The same month is filled once more, or its rows are changed.
pub fn again(w: &mut Writer, month: &str) {
    match w.number(3) {
        0 => w.full_month(month),
        1 => w.change_status(),
        _ => w.push("delete", format!("DELETE FROM {} WHERE id % 3 = 0", table(month))),
    }
}

fn attach(w: &mut Writer) {
    let month = w.month();
    let name = table(month);
    match w.number(6) {
        0 => w.push("drop a partition", format!("DROP TABLE {name}_2")),
        1 => w.push("attach", format!("ALTER TABLE operations ATTACH PARTITION {name}_2 {}", bounds(month))),
        2 => {
            let sql = format!("CREATE TABLE {name} PARTITION OF operations {}", bounds(month));
            w.push("create a partition", sql);
        }
        _ => w.push("attach", format!("ALTER TABLE operations ATTACH PARTITION {name} {}", bounds(month))),
    }
}

fn maintain(w: &mut Writer) {
    let ahead = w.number(5);
    // Retains all; or detaches one or two of the months that there are at first.
    let sql = match w.number(4) {
        0 => format!(
            "CALL operations_maintain_partitions({ahead}, 12 * (extract(year FROM current_date)::integer - 2025) \
             + extract(month FROM current_date)::integer - {})",
            9 + w.number(2)
        ),
        _ => format!("CALL operations_maintain_partitions({ahead})"),
    };
    w.push("maintain partitions", sql);
}

/// Rows by INSERT, the same in both databases.
pub fn insert_rows(w: &mut Writer) -> String {
    let (rows, salt) = (w.number(40) + 1, w.number(1_000));
    format!(
        "INSERT INTO operations ({COLUMNS}) SELECT date '2025-08-01' + (n * 7 + {salt}) % 122, md5(n || ' {salt}')::uuid, n % 50, \
         CASE n % 2 WHEN 0 THEN 'online' ELSE 'offline' END::operation_type_enum, n + 0.25, n % 2, '{{\"n\": 1}}' \
         FROM generate_series(1, {rows}) n"
    )
}

fn copy(w: &mut Writer, bad: bool) {
    let mut lines = String::new();
    let rows = w.number(30) + 2;
    for row in 0..rows {
        let (month, day) = (w.made(), w.number(28) + 1);
        let amount = if bad && row == rows - 1 { "much".to_owned() } else { format!("{row}.50") };
        let status = w.number(2);
        let guid = format!("{row:08x}-0000-4000-8000-{day:012x}");
        lines.push_str(&format!(
            "{month}-{day:02}\t{guid}\t{row}\tonline\t{}\t{status}\t{{}}\n",
            if row == 0 { "1" } else { &amount }
        ));
    }
    let kind = if bad { "copy with a bad line" } else { "copy" };
    w.push_executed(kind, format!("COPY operations ({COLUMNS}) FROM STDIN"), Execution::Copy(lines));
}

/// Rows written the usual ways.
pub fn write(w: &mut Writer) {
    let (modulus, rest) = ([3, 7, 23][w.number(3)], w.number(3));
    let some = format!("id % {modulus} = {rest}");
    let month = w.made();
    match w.number(11) {
        0 | 1 => {
            let sql = insert_rows(w);
            w.push("insert", sql);
        }
        2 => copy(w, false),
        3 => copy(w, true),
        4 => w.push("update", format!("UPDATE operations SET status = 1 - status WHERE {some}")),
        5 => w.push("update", format!("UPDATE operations SET amount = amount + 1 WHERE {some}")),
        6 => w.push("update", format!("UPDATE operations SET client_id = client_id + 1, status = 1 WHERE {some}")),
        7 => w.push(
            "move rows",
            format!("UPDATE operations SET operation_date = '{month}-03' WHERE {some} AND client_id < 300"),
        ),
        8 => w.push("update", format!("UPDATE {} SET status = 1 WHERE {some}", table(month))),
        9 => w.push("delete", format!("DELETE FROM {} WHERE {some}", table(month))),
        _ => w.push("delete", format!("DELETE FROM operations WHERE {some}")),
    }
}

fn index(w: &mut Writer) {
    let name = any_table(w);
    match w.number(7) {
        0 => w.push("create an index", format!("CREATE INDEX ON {name} (client_id)")),
        1 => w.push("create an index", "CREATE INDEX IF NOT EXISTS mine ON operations (client_id, operation_date)"),
        2 => w.push("drop an index", "DROP INDEX mine"),
        3 => w.push("drop an index", format!("DROP INDEX {name}_client_id_idx")),
        4 => w.push("drop an index", "DROP INDEX operations_status_id_idx"),
        5 => {
            w.push("create an index", "CREATE INDEX IF NOT EXISTS operations_status_id_idx ON operations (status, id)")
        }
        _ => w.push("reindex", format!("REINDEX INDEX {name}_pkey")),
    }
}

fn columns(w: &mut Writer) {
    match w.number(8) {
        0 | 1 => w.push("add a column", "ALTER TABLE operations ADD COLUMN extra integer NOT NULL DEFAULT 7"),
        2 => w.push("add a column", "ALTER TABLE operations ADD COLUMN moment timestamptz DEFAULT '2025-01-01', ADD COLUMN nothing text"),
        3 | 4 => w.push(
            "drop a column",
            "ALTER TABLE operations DROP COLUMN IF EXISTS extra, DROP COLUMN IF EXISTS moment, DROP COLUMN IF EXISTS nothing",
        ),
        5 => w.push("drop a column", "ALTER TABLE operations DROP COLUMN amount"),
        6 => w.push("rename a column", "ALTER TABLE operations RENAME message TO note"),
        _ => w.push("rename a column", "ALTER TABLE operations RENAME note TO message"),
    }
}

const ENABLE_ALWAYS: &str = "DO $$ DECLARE t name; BEGIN \
    FOR t IN SELECT tgname FROM pg_trigger WHERE tgrelid = 'operations'::regclass AND NOT tgisinternal ORDER BY tgname LOOP \
    EXECUTE format('ALTER TABLE operations ENABLE ALWAYS TRIGGER %I', t); END LOOP; END $$";

fn triggers(w: &mut Writer) {
    let name = any_table(w);
    match w.number(10) {
        0 => w.push("disable triggers", "ALTER TABLE operations DISABLE TRIGGER USER"),
        1 => w.push("disable triggers", format!("ALTER TABLE {name} DISABLE TRIGGER ALL")),
        2 => w.push("enable triggers", format!("ALTER TABLE {name} ENABLE TRIGGER ALL")),
        3 => w.push("enable triggers", "ALTER TABLE operations ENABLE TRIGGER USER"),
        4 => w.push("enable triggers", ENABLE_ALWAYS),
        5 => w.push(
            "replace a trigger",
            "CREATE OR REPLACE TRIGGER operations_count_insert AFTER INSERT ON operations FOR EACH ROW \
             WHEN (new.status = 1 AND new.client_id > 20) EXECUTE FUNCTION operations_count_change()",
        ),
        6 => w.push(
            "replace a trigger",
            "CREATE OR REPLACE TRIGGER operations_count_update AFTER UPDATE ON operations FOR EACH ROW \
             WHEN (old.status = 1 OR new.status = 1) EXECUTE FUNCTION torture.nothing()",
        ),
        7 => w.push("drop a trigger", "DROP TRIGGER operations_count_delete ON operations"),
        8 => w.push(
            "add a trigger",
            "CREATE TRIGGER mine BEFORE INSERT ON operations FOR EACH ROW EXECUTE FUNCTION torture.halve()",
        ),
        _ => w.push("drop a trigger", "DROP TRIGGER mine ON operations"),
    }
}

fn persistence(w: &mut Writer) {
    let name = any_table(w);
    match w.number(5) {
        0..=2 => w.push("set unlogged", format!("ALTER TABLE {name} SET UNLOGGED")),
        _ => w.push("set logged", format!("ALTER TABLE {name} SET LOGGED")),
    }
}

/// What makes a load go by COPY, and perhaps fail in the middle.
fn way_of_copy(w: &mut Writer) {
    match w.number(6) {
        0 | 1 => w.push("add a constraint", "ALTER TABLE operations ADD CONSTRAINT clients CHECK (client_id >= 0)"),
        2 => w.push(
            "add a constraint",
            "ALTER TABLE operations ADD CONSTRAINT few CHECK (client_id % 997 <> 3) NOT VALID",
        ),
        3 => w.push(
            "drop a constraint",
            "ALTER TABLE operations DROP CONSTRAINT IF EXISTS clients, DROP CONSTRAINT IF EXISTS few",
        ),
        4 => w.push(
            "add a trigger",
            "CREATE TRIGGER refuse BEFORE INSERT ON operations FOR EACH ROW EXECUTE FUNCTION torture.refuse()",
        ),
        _ => w.push("drop a trigger", "DROP TRIGGER refuse ON operations"),
    }
}

/// Rows that come in the order of the ids, or all at once.
fn cursor(w: &mut Writer) {
    let name = ["c", "d"][w.number(2)];
    let from = if w.number(3) == 0 { any_table(w) } else { "operations".to_owned() };
    match w.number(8) {
        0 | 1 => w.push(
            "declare a cursor",
            format!("DECLARE {name} CURSOR FOR SELECT id, operation_date, client_id, status FROM {from} WHERE client_id < 40 ORDER BY id"),
        ),
        2 => w.push(
            "declare a cursor",
            format!("DECLARE {name} CURSOR WITH HOLD FOR SELECT id, operation_date, amount FROM {from} WHERE client_id < 40 ORDER BY id"),
        ),
        3 | 4 => w.push("fetch", format!("FETCH 5 FROM {name}")),
        5 => w.push("fetch", format!("FETCH ALL FROM {name}")),
        _ => w.push("close a cursor", format!("CLOSE {name}")),
    }
}

/// A load in a subtransaction that its caller takes back.
fn caught(w: &mut Writer) {
    let month = w.made();
    let (load, rows) = w.call(month, month, 10_100);
    let sql = format!(
        "DO $$ BEGIN BEGIN {load}; TRUNCATE {}; RAISE EXCEPTION 'no'; EXCEPTION WHEN raise_exception THEN NULL; END; END $$",
        table(month)
    );
    w.statements.push(Statement {
        kind: "load, then a caught error",
        sql,
        execution: Execution::Same,
        bracket: Bracket::None,
        rows: Some(rows),
    });
}

fn rewrite(w: &mut Writer) {
    let name = any_table(w);
    match w.number(6) {
        0..=2 => w.push("vacuum full", format!("VACUUM FULL {name}")),
        3 | 4 => w.push("cluster", format!("CLUSTER {name} USING {name}_pkey")),
        _ => w.push("vacuum", "VACUUM (ANALYZE) operations"),
    }
}

fn concurrently(w: &mut Writer) {
    let name = any_table(w);
    match w.number(3) {
        0 => w.push("create an index concurrently", format!("CREATE INDEX CONCURRENTLY ON {name} (amount)")),
        1 => w.push("reindex", format!("REINDEX TABLE CONCURRENTLY {name}")),
        _ => w.push("detach concurrently", format!("ALTER TABLE operations DETACH PARTITION {name} CONCURRENTLY")),
    }
}

fn check_point(w: &mut Writer) {
    w.push("checkpoint", "CHECKPOINT");
}

/// A load that has no time to end.
fn within_time(w: &mut Writer) {
    let month = w.made();
    let (first, last, count) = if w.number(2) == 0 { (month, month, 10_100) } else { ("2025-08", "2025-11", 41_500) };
    let (sql, rows) = w.call(first, last, count);
    let ms = [2, 5, 10, 20, 40, 80][w.number(6)];
    w.statements.push(Statement {
        kind: "load within a time",
        sql,
        execution: Execution::Within(ms),
        bracket: Bracket::None,
        rows: Some(rows),
    });
}

const BAD_CALLS: [&str; 10] = [
    "CALL operations_test_data('2025-08-01', '2025-08-31', -1)",
    "CALL operations_test_data('2025-08-31', '2025-08-01', 10)",
    "CALL operations_test_data('2025-08-01', NULL, 10)",
    "CALL operations_test_data('2025-08-01', 'infinity', 10)",
    "CALL operations_test_data('2025-08-01', '2025-08-31', 10, 1, 0)",
    "CALL operations_test_data('2025-08-01', '2025-08-32', 10)",
    "CALL change_status(0)",
    "CALL change_status(NULL)",
    "CALL operations_maintain_partitions(-1)",
    "CALL operations_maintain_partitions(NULL)",
];

/// What fails.
pub fn failing(w: &mut Writer) {
    let values = |date: &str, client: &str, kind: &str, amount: &str, status: &str| {
        format!(
            "INSERT INTO operations ({COLUMNS}) VALUES ('{date}', '00000000-0000-4000-8000-000000000001', {client}, '{kind}', {amount}, {status}, '{{}}')"
        )
    };
    match w.number(10) {
        0..=2 => {
            let call = BAD_CALLS[w.number(BAD_CALLS.len())];
            w.push("bad input", call);
        }
        3 => w.push("division by zero", "UPDATE operations SET amount = amount / (client_id - client_id)"),
        4 => {
            let sql = format!("{}; SELECT 1 / 0", insert_rows(w));
            w.push("division by zero", sql);
        }
        5 => w.push("violation of a constraint", values("2025-08-02", "1", "online", "-1", "1")),
        6 => w.push("violation of a constraint", values("2025-08-02", "NULL", "online", "1", "1")),
        7 => w.push("bad input", values("2025-08-02", "1", "by post", "1", "1")),
        8 => w.push("no partition", values("1999-01-01", "1", "online", "1", "1")),
        _ => w.push(
            "violation of a constraint",
            format!(
                "INSERT INTO operations (id, {COLUMNS}) OVERRIDING SYSTEM VALUE SELECT id, {COLUMNS} FROM operations ORDER BY id LIMIT 1"
            ),
        ),
    }
}
