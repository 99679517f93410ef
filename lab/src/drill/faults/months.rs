//! The empty partitions of the months ahead: the only ones that drills drop.

use crate::drill::scene::Scene;
use crate::error::Error;
use crate::role::Role;

/// How many months ahead of this one have a partition.
const AHEAD: &str = "\
    SELECT count(*) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid \
    WHERE i.inhparent = 'public.operations'::regclass \
      AND c.relname ~ '^operations_[0-9]{4}_[0-9]{2}$' AND c.relname > to_char(current_date, '\"operations_\"YYYY_MM')";

/// Their names, as an array.
const NAMES: &str = "\
    SELECT coalesce(array_agg(c.relname::text), '{}')::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid \
    WHERE i.inhparent = 'public.operations'::regclass";

/// Drops them but KEPT. Nobody writes into one that is locked, so what is empty then stays empty. One that keeps rows for all
/// other months is no month.
const DROP: &str = "\
    DO $$ \
    DECLARE \
        month regclass; \
        holds_rows boolean; \
    BEGIN \
        SET LOCAL lock_timeout = '10s'; \
        LOCK TABLE ONLY public.operations IN ACCESS EXCLUSIVE MODE; \
        FOR month IN SELECT i.inhrelid::regclass FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid \
                     WHERE i.inhparent = 'public.operations'::regclass \
                       AND c.relkind = 'r' AND pg_get_expr(c.relpartbound, c.oid) <> 'DEFAULT' \
                       AND c.relname ~ '^operations_[0-9]{4}_[0-9]{2}$' \
                       AND c.relname > to_char(current_date, '\"operations_\"YYYY_MM') \
                       AND c.relname <> ALL ('KEPT'::text[]) ORDER BY 1 LOOP \
            EXECUTE format('LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE', month); \
            EXECUTE format('SELECT EXISTS (SELECT FROM %s)', month) INTO holds_rows; \
            IF NOT holds_rows THEN EXECUTE format('DROP TABLE %s', month); END IF; \
        END LOOP; \
    END $$";

/// How many there are.
pub fn ahead(scene: &Scene) -> Result<i64, Error> {
    Ok(scene.ask(Role::Primary, AHEAD)?.parse().unwrap_or_default())
}

/// All partitions that there are, for [`drop_empty`].
pub fn names(scene: &Scene) -> Result<String, Error> {
    scene.ask(Role::Primary, NAMES)
}

/// The statement that drops the empty months ahead, but those in `kept`.
#[must_use]
pub fn drop_empty(kept: &str) -> String {
    DROP.replace("KEPT", &kept.replace('\'', "''").replace("$$", ""))
}
