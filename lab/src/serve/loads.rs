//! The loads that run, and how far they are.

use std::collections::BTreeMap;
use std::time::Duration;

use super::known::now;
use super::model::Load;
use super::noted::new_mark;
use super::session::Session;
use super::store::Store;
use crate::marks::Mark;

const LOADS: &str = "\
    SELECT pid, (extract(epoch FROM started_at) * 1000)::float8, phase, coalesce(month, ''), rows_done, rows_total \
    FROM @schema@.operations_load_progress LIMIT 20";

/// The loads of a server that were seen running.
#[derive(Debug, Default)]
pub struct Loads(BTreeMap<String, (Load, Mark)>);

/// Looks how far the loads are. Nothing is asked while the quick look sees none.
pub async fn follow(store: &Store, index: usize, session: &mut Session, loads: &mut Loads, limit: Duration) {
    let (server, running) = {
        let inner = store.lock();
        let known = &inner.servers[index];
        let samples = known.collected.get("loads").map(|collected| collected.samples.as_slice()).unwrap_or_default();
        let running = samples.iter().find(|sample| sample.metric.name == "loads_running").map(|sample| sample.value);
        (known.name.clone(), running)
    };
    if running == Some(0.0) && loads.0.is_empty() {
        return;
    }
    let Ok(rows) = session.query(LOADS, &[], limit).await else { return };
    let mut seen = BTreeMap::new();
    for row in &rows {
        let Some(load) = load_of(row, &server) else { continue };
        seen.insert(load.id.clone(), load);
    }
    loads.end(store, |id| !seen.contains_key(id));
    for (id, load) in seen {
        let mark = match loads.0.remove(&id) {
            Some((_, mark)) => mark,
            None => {
                let text = format!("operations_test_data: {} rows", load.total);
                let mut mark = new_mark(&mut store.lock().marks, "load", &text, false);
                mark.t = load.started;
                store.mark(mark.clone());
                mark
            }
        };
        store.load(load.clone());
        loads.0.insert(id, (load, mark));
    }
}

impl Loads {
    /// The server is asked no more: what ran there is not seen any longer.
    pub fn forget(&mut self, store: &Store) {
        self.end(store, |_| true);
    }

    fn end(&mut self, store: &Store, ended: impl Fn(&str) -> bool) {
        let gone: Vec<_> = self.0.keys().filter(|id| ended(id)).cloned().collect();
        for (mut load, mut mark) in gone.iter().filter_map(|id| self.0.remove(id)) {
            (load.ended, mark.end) = (Some(now()), Some(now()));
            store.load(load);
            store.mark(mark);
        }
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "milliseconds since 1970")]
fn load_of(row: &tokio_postgres::Row, server: &str) -> Option<Load> {
    let (pid, started): (i32, f64) = (row.try_get(0).ok()?, row.try_get(1).ok()?);
    let (phase, month): (&str, &str) = (row.try_get(2).ok()?, row.try_get(3).ok()?);
    let started = started.max(0.0) as u64;
    Some(Load {
        id: format!("{server}-{pid}-{started}"),
        server: server.to_owned(),
        started,
        rows: row.try_get(4).ok()?,
        total: row.try_get(5).ok()?,
        text: crate::marks::plain(format!("{phase} {month}").trim()),
        ended: None,
    })
}
