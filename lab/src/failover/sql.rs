//! Which rows are kept, and the script that loads them.

use std::collections::BTreeSet;

use postgres::Client;

use crate::error::Error;

pub const HEAD: &str = "\
-- Rows that only an old primary had, kept by operations-lab before it was made a replica. Loading them twice changes nothing.
\\set ON_ERROR_STOP on
\\set QUIET on
set client_min_messages = warning;
set search_path = pg_catalog, pg_temp;
begin;
";

pub const FOOT: &str = "commit;\n\\echo the rows are loaded\n";

/// Tables of users, by their parents where they are partitioned. Those of extensions can be made anew, and temporary tables
/// are skipped.
///
/// Who plans a query runs functions of the table's owner, such as the constant parts of its indexes. So a superuser reads only
/// what belongs to superusers, with all that is read along with it: partitions, and tables that inherit.
const TABLES: &str = "\
    SELECT format('%I.%I', n.nspname, c.relname), \
           array(SELECT a.attname::text FROM pg_catalog.pg_attribute a \
                 WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' ORDER BY a.attnum), \
           pg_catalog.pg_get_userbyid(c.relowner)::text, \
           array(SELECT a.attname::text FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_index i ON i.indrelid = a.attrelid \
                 WHERE i.indrelid = c.oid AND i.indisprimary AND a.attnum = ANY (i.indkey) ORDER BY a.attnum), \
           (WITH RECURSIVE parts (oid) AS ( \
                SELECT c.oid UNION SELECT h.inhrelid FROM pg_catalog.pg_inherits h JOIN parts p ON p.oid = h.inhparent) \
            SELECT array_agg(r.rolname::text ORDER BY r.rolname) FILTER (WHERE NOT r.rolsuper) FROM parts p \
            JOIN pg_catalog.pg_class k ON k.oid = p.oid JOIN pg_catalog.pg_roles r ON r.oid = k.relowner), \
           (WITH RECURSIVE parts (oid) AS ( \
                SELECT c.oid UNION SELECT h.inhrelid FROM pg_catalog.pg_inherits h JOIN parts p ON p.oid = h.inhparent) \
            SELECT array_agg(format('%s/%s/%s', CASE k.reltablespace WHEN 0 THEN d.dattablespace ELSE k.reltablespace END, \
                                    d.oid, pg_relation_filenode(k.oid)) \
                             ORDER BY k.oid) FILTER (WHERE pg_relation_filenode(k.oid) IS NOT NULL) FROM parts p \
            JOIN pg_catalog.pg_class k ON k.oid = p.oid, pg_catalog.pg_database d WHERE d.datname = current_database()), \
           (WITH RECURSIVE parts (oid) AS ( \
                SELECT c.oid UNION SELECT h.inhrelid FROM pg_catalog.pg_inherits h JOIN parts p ON p.oid = h.inhparent) \
            SELECT array_agg(k.xmin::text) FROM parts p JOIN pg_catalog.pg_class k ON k.oid = p.oid) \
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence = 'p' \
      AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' \
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d \
                      WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e') \
    ORDER BY c.relname = 'receipt', 1";

/// Whether a table, or what is read and written along with it, belongs to somebody without a superuser's rights.
const OWNERS: &str = "\
    with recursive parts (oid) as (select to_regclass(TABLE)::oid union \
    select h.inhrelid from pg_catalog.pg_inherits h join parts p on p.oid = h.inhparent) \
    select from parts p join pg_catalog.pg_class k on k.oid = p.oid join pg_catalog.pg_roles r on r.oid = k.relowner \
    where not r.rolsuper";

/// A table with rows to keep.
#[derive(Clone, Debug)]
pub struct Table {
    /// Its name, qualified and quoted.
    pub name: String,
    /// Its owner.
    pub owner: String,
    /// Who owns it, or something that is read with it, and is no superuser.
    pub strangers: Vec<String>,
    /// Its files in the WAL: tablespace, database and number.
    pub files: Vec<String>,
    /// The transactions that have changed its entry, or that of a partition, in the catalog last.
    pub entries: Vec<u32>,
    columns: Vec<String>,
    /// Columns that make a row the same on both servers. None: whole rows are compared.
    key: Vec<String>,
}

/// The tables of a database.
pub fn tables(session: &mut Client) -> Result<Vec<Table>, Error> {
    let rows = session.query(TABLES, &[])?;
    let table = |row: &postgres::Row| {
        let (name, columns, owner): (String, Vec<String>, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let mut key: Vec<String> = row.try_get(3)?;
        // Both servers go on with the same ids: it is the GUID that makes an operation.
        if name == "public.operations" {
            key = vec!["operation_date".to_owned(), "operation_guid".to_owned()];
        }
        let entries: Vec<String> = row.try_get::<_, Option<_>>(6)?.unwrap_or_default();
        Ok::<_, postgres::Error>(Table {
            name,
            owner,
            strangers: row.try_get::<_, Option<_>>(4)?.unwrap_or_default(),
            files: row.try_get::<_, Option<_>>(5)?.unwrap_or_default(),
            entries: entries.iter().filter_map(|xid| xid.parse().ok()).collect(),
            columns,
            key,
        })
    };
    Ok(rows.iter().map(table).collect::<Result<_, _>>()?)
}

impl Table {
    /// The keys, as text, of the rows that these transactions have written on the old server and that the new one has not;
    /// and what is to be said of them. Nothing if the new server has a table of that name that is not to be read.
    pub fn only_there(
        &self,
        old: &mut Client,
        new: &mut Client,
        transactions: &BTreeSet<u32>,
    ) -> Result<Option<(Vec<String>, String)>, Error> {
        let xids: Vec<_> = transactions.iter().map(u32::to_string).collect();
        let written = format!(
            "SELECT DISTINCT {} FROM {} t WHERE t.xmin = ANY ('{{{}}}'::xid[])",
            self.key_text(),
            self.name,
            xids.join(",")
        );
        let keys: BTreeSet<String> =
            old.query(&written, &[])?.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
        if keys.is_empty() {
            return Ok(Some((Vec::new(), String::new())));
        }
        let all: Vec<_> = keys.iter().collect();
        let Some(known) = self.known(new, &all)? else {
            return Ok(None);
        };
        let only: Vec<_> = keys.difference(&known).cloned().collect();
        let changed = keys.intersection(&known).count();
        let changed =
            if changed == 0 { String::new() } else { format!("; {changed} more it changed, which both have") };
        Ok(Some((only, changed)))
    }

    /// Which of these keys the new server has. A view under the table's name would run what its owner has put there, and so
    /// would a table of somebody without a superuser's rights.
    fn known(&self, new: &mut Client, keys: &[&String]) -> Result<Option<BTreeSet<String>>, Error> {
        let mut transaction = new.transaction()?;
        let exists = &format!(
            "SELECT relkind IN ('r', 'p') AND NOT EXISTS ({}) FROM pg_catalog.pg_class c WHERE oid = to_regclass($1)",
            OWNERS.replace("TABLE", "$1")
        );
        if transaction.query_opt(exists.as_str(), &[&self.name])?.is_none() {
            return Ok(Some(BTreeSet::new()));
        }
        transaction.batch_execute(&format!("LOCK TABLE {} IN ACCESS SHARE MODE", self.name))?;
        let is_table =
            transaction.query_opt(exists.as_str(), &[&self.name])?.map(|row| row.try_get::<_, bool>(0)).transpose()?;
        if is_table != Some(true) {
            return Ok(None);
        }
        let query = format!("SELECT {0} FROM {1} t WHERE {0} = ANY ($1)", self.key_text(), self.name);
        let rows = transaction.query(&query, &[&keys])?;
        Ok(Some(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?))
    }

    /// An expression that makes text of what makes a row the same.
    fn key_text(&self) -> String {
        let columns = if self.key.is_empty() { &self.columns } else { &self.key };
        let columns: Vec<_> = columns.iter().map(|column| format!("t.{}", quoted(column))).collect();
        format!("ROW({})::text", columns.join(", "))
    }

    fn column_list(&self) -> String {
        self.columns.iter().map(|column| quoted(column)).collect::<Vec<_>>().join(", ")
    }

    /// The statement that reads the rows.
    pub fn copy(&self, keys: &[String]) -> String {
        let keys: Vec<_> = keys.iter().map(|key| literal(key)).collect();
        format!(
            "COPY (SELECT {} FROM {} t WHERE {} = ANY (ARRAY[{}])) TO STDOUT",
            self.column_list(),
            self.name,
            self.key_text(),
            keys.join(", ")
        )
    }

    /// What stands before the rows in the script: they go into a table of the session first.
    pub fn before(&self) -> String {
        let columns = self.column_list();
        format!(
            "\nlock table {0} in share row exclusive mode;\n\
             do $do$ begin if exists ({OWNERS}) then \
             raise exception 'a table, or a part of it, belongs to a role that is no superuser: nothing is loaded'; \
             end if; end $do$;\ncreate temp table kept on commit drop as select {columns} from {0} where false;\ncopy kept ({columns}) from stdin;\n",
            self.name,
            OWNERS = OWNERS.replace("TABLE", &literal(&self.name)),
        )
    }

    /// What stands after them: those that are not there are inserted. One whose id was given to another row gets a new one.
    pub fn after(&self) -> String {
        let (name, columns) = (&self.name, self.column_list());
        let same = |key: &String| format!("t.{0} is not distinct from k.{0}", quoted(key));
        let key = if self.key.is_empty() { &self.columns } else { &self.key };
        let is_there = format!("select from {name} t where {}", key.iter().map(same).collect::<Vec<_>>().join(" and "));
        if name == "public.operations" {
            let others = self.columns.iter().filter(|column| *column != "id").map(|column| quoted(column));
            let others = others.collect::<Vec<_>>().join(", ");
            return format!(
                "\\.\n\
                 delete from kept k where exists ({is_there});\n\
                 with same_id as (insert into {name} ({columns}) overriding system value \
                 select {columns} from kept k \
                 where not exists (select from {name} t where t.operation_date = k.operation_date and t.id = k.id) \
                 returning operation_guid)\n\
                 insert into {name} ({others}) select {others} from kept k \
                 where not exists (select from same_id s where s.operation_guid = k.operation_guid);\n\
                 drop table kept;\n"
            );
        }
        format!(
            "\\.\ninsert into {name} ({columns}) overriding system value select {columns} from kept k where not exists ({is_there});\n\
             drop table kept;\n"
        )
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Text as SQL writes it.
pub(crate) fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// The transactions that committed, and their subtransactions, in what pg_waldump prints.
pub fn committed(dumped: &str) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    for line in dumped.lines() {
        let Some((head, what)) = line.split_once(" desc: COMMIT") else {
            continue;
        };
        let xid = match what.strip_prefix("_PREPARED ") {
            Some(prepared) => prepared.split_once(':').map(|(xid, _)| xid),
            None => head.split_once("tx:").and_then(|(_, rest)| rest.split_once(',')).map(|(xid, _)| xid),
        };
        found.extend(xid.and_then(|xid| xid.trim().parse::<u32>().ok()));
        if let Some((_, rest)) = what.split_once("subxacts: ") {
            let list = rest.split_once(';').map_or(rest, |(list, _)| list);
            found.extend(list.split_whitespace().map_while(|xid| xid.parse::<u32>().ok()));
        }
    }
    found.remove(&0);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_commits_and_their_subtransactions() {
        let dumped = "\
rmgr: Transaction len (rec/tot):     46/    46, tx:        771, lsn: 0/01977038, prev 0/01976FF8, desc: COMMIT 2026-11-25 12:00:00 UTC
rmgr: Transaction len (rec/tot):     46/    46, tx:        772, lsn: 0/01977068, prev 0/01977038, desc: ABORT 2026-11-25 12:00:00 UTC
rmgr: Transaction len (rec/tot):     82/    82, tx:        773, lsn: 0/01977098, prev 0/01977068, desc: COMMIT 2026-11-25 12:00:01 UTC; subxacts: 774 775; inval msgs: catcache 5
rmgr: Transaction len (rec/tot):     82/    82, tx:          0, lsn: 0/019770F8, prev 0/01977098, desc: COMMIT_PREPARED 780: 2026-11-25 12:00:02 UTC
rmgr: Transaction len (rec/tot):     82/    82, tx:        790, lsn: 0/019771F8, prev 0/01977098, desc: PREPARE gid x: 2026-11-25 12:00:02 UTC
";
        assert_eq!(committed(dumped).into_iter().collect::<Vec<_>>(), [771, 773, 774, 775, 780]);
        assert!(committed("").is_empty());
    }

    #[test]
    fn names_and_values_are_quoted() {
        let table = Table {
            name: "a.\"b\"\"c\"".to_owned(),
            owner: "me".to_owned(),
            strangers: Vec::new(),
            files: Vec::new(),
            entries: Vec::new(),
            columns: vec!["x\"y".to_owned()],
            key: Vec::new(),
        };
        assert!(table.copy(&["(\"it's \\\\\")".to_owned()]).contains(r#"ARRAY[E'("it\'s \\\\")']"#));
        assert!(table.before().contains("copy kept (\"x\"\"y\") from stdin;"), "{}", table.before());
    }
}
