//! What is known: of each server, of the last hour, of what happened.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, broadcast};

use super::draw;
use super::known::{Collected, Inner, Known, NO_ANSWER, now};
use super::noted::{mark_of_server, new_mark};
use crate::connect::Refusal;
use crate::metrics::{Collector, Sample};
use crate::role::Role;

/// So many events wait for a reader at most; who is slower misses some.
const WAITING: usize = 64;

/// Somebody who asked looks on for so long, in milliseconds.
const MOMENT: u64 = 20_000;

/// The state is made anew after so long, in milliseconds.
const FRESH: u64 = 1000;

const DIGITS: [char; 10] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'];

/// A mark may be so much later than it is here, in milliseconds.
pub const LATER: u64 = 5000;

/// No drill takes longer, in milliseconds.
const DRILL: u64 = 300_000;

/// What all parts of the program share.
#[derive(Debug)]
pub struct Store {
    inner: Mutex<Inner>,
    /// Events for the pages, ready to be sent.
    pub events: broadcast::Sender<Bytes>,
    /// The doctor is to look now.
    pub look: Notify,
    /// When somebody last asked for the state.
    asked: AtomicU64,
}

impl Store {
    /// Knows these servers by name and address.
    pub fn new(servers: impl IntoIterator<Item = (String, String)>) -> Arc<Self> {
        let known = |(name, address)| Known {
            name,
            address,
            up: None,
            since: now(),
            refusal: None,
            role: None,
            timeline: None,
            stream: None,
            collected: BTreeMap::new(),
        };
        let inner = Inner { servers: servers.into_iter().map(known).collect(), ..Inner::default() };
        Arc::new(Self {
            inner: Mutex::new(inner),
            events: broadcast::channel(WAITING).0,
            look: Notify::new(),
            asked: AtomicU64::new(0),
        })
    }

    /// Whether a page is open, or somebody has asked for the state a moment ago.
    pub fn is_watched(&self) -> bool {
        self.events.receiver_count() > 0 || now().saturating_sub(self.asked.load(Ordering::Relaxed)) < MOMENT
    }

    /// Whether a drill is at work. One that was killed is over after some minutes.
    pub fn is_drilled(&self) -> bool {
        let (oldest, latest) = (now().saturating_sub(DRILL), now() + LATER);
        self.lock()
            .marks
            .iter()
            .any(|mark| mark.kind == "drill" && mark.end.is_none() && mark.t > oldest && mark.t < latest)
    }

    /// Somebody asks how things are: what is told next is fresh.
    pub fn asks(&self) {
        if !self.is_watched() {
            self.look.notify_one();
        }
        self.asked.store(now(), Ordering::Relaxed);
    }

    /// All that is known. Nothing is waited for while it is held.
    pub fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends an event to all pages that are open.
    pub fn send(&self, name: &str, data: &str) {
        // Nobody may be there.
        let _ = self.events.send(event(name, data));
    }

    /// The same for what is turned into JSON.
    pub fn tell(&self, name: &str, data: &impl serde::Serialize) {
        if self.events.receiver_count() > 0
            && let Ok(json) = serde_json::to_string(data)
        {
            self.send(name, &json);
        }
    }

    /// Tells all pages how things are now.
    pub fn tell_state(&self) {
        self.lock().state = None;
        if self.events.receiver_count() > 0
            && let Some(state) = self.state()
        {
            self.send("state", &state);
        }
    }

    /// How things are, as JSON. It is made once a second at most, unless something has changed; only the time in it is that of now.
    pub fn state(&self) -> Option<String> {
        let mut inner = self.lock();
        let now = now();
        let made = inner.state.clone().filter(|(at, _)| now.checked_sub(*at).is_some_and(|age| age < FRESH));
        let rest = match made {
            Some((_, rest)) => rest,
            None => {
                let json = serde_json::to_string(&draw::state(&inner)).ok()?;
                let rest =
                    Bytes::copy_from_slice(json.strip_prefix("{\"now\":")?.trim_start_matches(DIGITS).as_bytes());
                inner.state = Some((now, rest.clone()));
                rest
            }
        };
        Some(format!("{{\"now\":{now}{}", str::from_utf8(&rest).ok()?))
    }

    /// Whether a server answers, and what it is. What has changed is marked, told, and looked into by the doctor.
    pub fn seen(&self, server: usize, seen: Result<Role, Refusal>) {
        let mut told = Vec::new();
        let changed = {
            let mut inner = self.lock();
            let inner = &mut *inner;
            let Some(known) = inner.servers.get_mut(server) else { return };
            let (was_up, is_up) = (known.up, seen.is_ok());
            let mut changed = was_up != Some(is_up);
            if changed {
                (known.up, known.since) = (Some(is_up), now());
                told.extend(mark_of_server(&mut inner.marks, known, seen.as_ref().err()));
            }
            match seen {
                Ok(role) => {
                    if known.role.is_some_and(|was| was != role) {
                        let text = format!("{} is a {role} now", known.address);
                        told.push(new_mark(&mut inner.marks, "role", &text, true));
                    }
                    changed |= known.role != Some(role) || known.refusal.is_some();
                    (known.role, known.refusal) = (Some(role), None);
                }
                Err(refusal) => {
                    changed |= known.refusal.as_ref() != Some(&refusal);
                    known.refusal = Some(refusal);
                    // What it said is old now.
                    known.collected.values_mut().for_each(|collected| {
                        collected.samples.clear();
                        collected.error.get_or_insert_with(|| NO_ANSWER.to_owned());
                    });
                }
            }
            changed
        };
        told.iter().for_each(|mark| self.tell("mark", mark));
        if changed {
            self.look.notify_one();
            self.tell_state();
        }
    }

    /// What a collector gave, or why it failed.
    pub fn collected(
        &self,
        server: usize,
        of: &'static Collector,
        took: Duration,
        result: Result<Vec<Sample>, String>,
    ) {
        let mut inner = self.lock();
        let Some(known) = inner.servers.get_mut(server) else { return };
        let before = known.collected.get(of.name);
        let succeeded = before.and_then(|before| before.succeeded);
        let at = now();
        let collected = match result {
            Ok(samples) => Collected { at, took, error: None, succeeded: Some(at), samples },
            Err(error) => Collected { at, took, error: Some(error), succeeded, samples: Vec::new() },
        };
        let timeline =
            collected.samples.iter().find(|sample| sample.metric.name == "timeline").map(|sample| sample.value);
        known.timeline = timeline.or(known.timeline);
        known.collected.insert(of.name, collected);
    }

    /// What is no longer asked of a server has no values.
    pub fn not_collected(&self, server: usize, of: &'static Collector) {
        if let Some(known) = self.lock().servers.get_mut(server) {
            known.collected.remove(of.name);
        }
    }
}

/// An event as it is sent.
pub fn event(name: &str, data: &str) -> Bytes {
    format!("event: {name}\ndata: {data}\n\n").into()
}
