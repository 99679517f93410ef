//! A client that writes all the time, and remembers what was acknowledged: it knows what is lost, and for how long it could not
//! write.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use postgres::Client;

use crate::connect::{session, within};
use crate::error::Error;
use crate::target::Target;

/// How often it writes.
const EVERY: Duration = Duration::from_millis(100);

/// How long a connection or a write may take before it counts as failed.
const PATIENCE: Duration = Duration::from_secs(3);

const WRITE: &str = "\
    INSERT INTO public.operations (operation_date, operation_guid, client_id, operation_type, amount, message) \
    VALUES (current_date, gen_random_uuid(), 1, 'online', 1.00, jsonb_build_object('drill', $1::text)) \
    RETURNING operation_guid::text";

const LOST: &str = "\
    SELECT count(*) FROM unnest($1::text[]) a (guid) \
    WHERE NOT EXISTS (SELECT FROM public.operations o \
                      WHERE o.operation_date >= current_date - 1 AND o.operation_guid = a.guid::uuid)";

/// What was acknowledged, and when.
#[derive(Clone, Debug)]
struct Acknowledged {
    guid: String,
    at: Instant,
}

/// A client at work in a thread.
pub struct Writer {
    written: Arc<Mutex<Vec<Acknowledged>>>,
    stop: Sender<()>,
    began: Instant,
}

impl Writer {
    /// Begins to write, and waits for the first acknowledgement.
    pub fn start(target: &Target, drill: &str) -> Result<Self, Error> {
        let (stop, stopped) = channel();
        let writer = Self { written: Arc::default(), stop, began: Instant::now() };
        let (target, written, drill) = (target.clone(), Arc::clone(&writer.written), drill.to_owned());
        std::thread::spawn(move || work(&target, &drill, &written, &stopped));
        crate::server::try_wait("a first write to be acknowledged", Duration::from_secs(10), || {
            if writer.count() > 0 { Ok(()) } else { Err("none".to_owned()) }
        })?;
        Ok(writer)
    }

    /// How many writes were acknowledged.
    #[must_use]
    pub fn count(&self) -> usize {
        self.acknowledged().len()
    }

    /// Whether one was acknowledged after this moment.
    #[must_use]
    pub fn has_written_since(&self, moment: Instant) -> bool {
        self.acknowledged().last().is_some_and(|last| last.at > moment)
    }

    /// The longest time in which nothing was acknowledged, until now.
    #[must_use]
    pub fn longest_pause(&self) -> Duration {
        let mut moments: Vec<_> = self.acknowledged().iter().map(|written| written.at).collect();
        moments.insert(0, self.began);
        moments.push(Instant::now());
        moments.windows(2).map(|pair| pair[1].saturating_duration_since(pair[0])).max().unwrap_or_default()
    }

    /// How many acknowledged writes the primary no longer has.
    pub fn lost(&self, session: &mut Client) -> Result<i64, Error> {
        let guids: Vec<_> = self.acknowledged().into_iter().map(|written| written.guid).collect();
        let row = session.query_one(LOST, &[&guids])?;
        Ok(row.try_get(0)?)
    }

    fn acknowledged(&self) -> Vec<Acknowledged> {
        self.written.lock().map(|written| written.clone()).unwrap_or_default()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // The thread may hang in a server that does not answer, and ends by itself later.
        let _ = self.stop.send(());
    }
}

fn work(target: &Target, drill: &str, written: &Mutex<Vec<Acknowledged>>, stopped: &Receiver<()>) {
    let mut client: Option<Client> = None;
    loop {
        let began = Instant::now();
        if client.is_none() {
            client = session(target, PATIENCE, PATIENCE).ok();
        }
        if let Some(mut open) = client.take() {
            let drill = drill.to_owned();
            // What a stopped server never answers is given up.
            let answer = within(PATIENCE, move || {
                let guid = open.query_one(WRITE, &[&drill]).and_then(|row| row.try_get::<_, String>(0));
                (open, guid)
            });
            if let Some((open, Ok(guid))) = answer {
                if let Ok(mut written) = written.lock() {
                    written.push(Acknowledged { guid, at: Instant::now() });
                }
                client = Some(open);
            }
        }
        let rest = EVERY.saturating_sub(began.elapsed()).max(Duration::from_millis(10));
        if stopped.recv_timeout(rest) != Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            return;
        }
    }
}
