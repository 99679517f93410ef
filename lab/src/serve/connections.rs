//! The connections that are open, so many at most. A new one is never waited with: when all places are taken, the oldest that gets
//! no events is closed. Whoever asks and reads is done within milliseconds, and so is never that one.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::AbortHandle;

/// The connections.
#[derive(Debug)]
pub struct Connections {
    most: usize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    last: u64,
    connections: BTreeMap<u64, (LongLived, Option<AbortHandle>)>,
}

/// Whether a connection is a page's, which gets events and stays.
#[derive(Clone, Debug, Default)]
pub struct LongLived(Arc<AtomicBool>);

impl LongLived {
    /// From now on it stays.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The place of one connection, which is free when this goes.
#[derive(Debug)]
pub struct Place {
    connections: Arc<Connections>,
    number: u64,
    /// Whether it stays.
    pub long_lived: LongLived,
}

impl Connections {
    /// So many.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, open: Mutex::default() })
    }

    /// A place for a new connection.
    pub fn take(self: &Arc<Self>) -> Place {
        let mut open = self.lock();
        if open.connections.len() >= self.most {
            let oldest =
                open.connections.iter().find(|(_, (long_lived, _))| !long_lived.is_set()).map(|(number, _)| *number);
            if let Some((_, Some(task))) = oldest.and_then(|oldest| open.connections.remove(&oldest)) {
                task.abort();
            }
        }
        open.last += 1;
        let (number, long_lived) = (open.last, LongLived::default());
        open.connections.insert(number, (long_lived.clone(), None));
        Place { connections: Arc::clone(self), number, long_lived }
    }

    /// What is to be ended when the place is given to another connection.
    pub fn is_held_by(&self, number: u64, task: AbortHandle) {
        if let Some((_, held)) = self.lock().connections.get_mut(&number) {
            *held = Some(task);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Its number.
    pub fn number(&self) -> u64 {
        self.number
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.lock().connections.remove(&self.number);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by a panic")]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_that_does_not_stay_gives_its_place() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let connections = Connections::new(3);
            let connect = || {
                let place = connections.take();
                let (number, long_lived) = (place.number(), place.long_lived.clone());
                let task = tokio::spawn(async move {
                    let _place = place;
                    std::future::pending::<()>().await;
                });
                connections.is_held_by(number, task.abort_handle());
                (task, long_lived)
            };
            let (page, long_lived) = connect();
            long_lived.set();
            let (old, _) = connect();
            let (new, _) = connect();
            let (newest, _) = connect();
            assert!(old.await.unwrap_err().is_cancelled());
            assert!(![&page, &new, &newest].iter().any(|task| task.is_finished()));
            new.abort();
            assert!(new.await.unwrap_err().is_cancelled());
            // A place that is free is taken first.
            let (_, _) = connect();
            tokio::task::yield_now().await;
            assert!(!page.is_finished() && !newest.is_finished());
        });
    }
}
