//! The client: writes ten rows a second to whoever takes writes, and notes what is acknowledged.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use super::journal::Journal;
use super::record::Record;
use super::worker::{Count, Event, Outcome, Worker};
use crate::demo::Demo;
use crate::error::{Context, Error};
use crate::moment::Moment;
use crate::target::Target;

/// How often a row is written, and how often it is looked for somebody who takes it.
const EVERY: Duration = Duration::from_millis(100);

/// After so long without a writer, it is looked for less often.
const PATIENT_AFTER: Duration = Duration::from_secs(60);
const PATIENT: Duration = Duration::from_millis(500);

/// A row that is not answered for so long is in doubt, and another session is begun.
const ANSWER: Duration = Duration::from_secs(2);

/// How long a server may take to let us in, and how much longer the others may when one has.
const LET_IN: Duration = Duration::from_millis(1200);
const OTHERS: Duration = Duration::from_millis(200);

/// So many sessions may hang at a server at once: each holds one of its connections.
const HANGING: usize = 3;

/// Writes until told to stop. `false` if another client is at work in the folder.
pub fn run(folder: Option<&Path>, stop: &AtomicBool) -> Result<bool, Error> {
    let demo = folder.map_or_else(|| Demo::as_started(None), Demo::of_its_owner)?;
    let folder = super::folder(&demo.layout);
    let opened = Journal::open(&folder).and_then(|journal| {
        if journal.is_some() {
            std::fs::write(folder.join(super::PID), format!("{}\n", std::process::id()))?;
        }
        Ok(journal)
    });
    let Some(journal) = opened.context(|| format!("open the receipt's file in {}", folder.display()))? else {
        return Ok(false);
    };
    let (events, heard) = channel();
    let counts = HashMap::new();
    let mut client = Client { demo, journal, events, heard, counts, sessions: 0, said: String::new(), down: None };
    let noted = client.note(&Record::Start(Moment::now())).and_then(|()| client.write_until(stop));
    noted.context(|| format!("write the receipt's file in {}", folder.display()))?;
    Ok(true)
}

struct Client {
    demo: Demo,
    journal: Journal,
    events: Sender<Event>,
    heard: Receiver<Event>,
    counts: HashMap<String, Count>,
    sessions: u64,
    /// Why nobody takes writes, as it was noted last, and since when.
    said: String,
    down: Option<Instant>,
}

impl Client {
    fn write_until(&mut self, stop: &AtomicBool) -> io::Result<()> {
        let mut writer = None;
        while !stop.load(Ordering::Relaxed) {
            let began = Instant::now();
            match writer.take() {
                Some(worker) => writer = self.write_with(worker, stop)?,
                None => writer = self.find(stop)?,
            }
            if writer.is_none() && !super::folder(&self.demo.layout).is_dir() {
                // The demo was removed by hand: nobody will ask.
                return Ok(());
            }
            let patient = self.down.is_some_and(|down| down.elapsed() > PATIENT_AFTER);
            std::thread::sleep(if patient { PATIENT } else { EVERY }.saturating_sub(began.elapsed()));
        }
        self.note(&Record::Stop(Moment::now()))?;
        self.journal.sync()
    }

    fn note(&mut self, record: &Record) -> io::Result<()> {
        self.journal.note(record)
    }

    /// Writes a row. Returns the session if it can write another one.
    fn write_with(&mut self, worker: Worker, stop: &AtomicBool) -> io::Result<Option<Worker>> {
        let sequence = self.journal.number()?;
        if !worker.write(sequence) {
            // It never left: the session has ended.
            self.note(&Record::Refused(sequence, Moment::now()))?;
            return Ok(None);
        }
        let began = Instant::now();
        while began.elapsed() < ANSWER && !stop.load(Ordering::Relaxed) {
            match self.heard.recv_timeout(EVERY) {
                Ok(Event::Done(id, outcome)) if id == worker.id => {
                    return Ok(self.note_outcome(outcome)?.then_some(worker));
                }
                Ok(Event::Done(_, outcome)) => {
                    self.note_late(outcome)?;
                }
                Ok(Event::Ready(..) | Event::Failed(..)) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.note(&Record::Doubt(sequence, Moment::now()))?;
        self.say_down(&format!("no answer for {} s", ANSWER.as_secs()))?;
        Ok(None)
    }

    /// Whether the row is there.
    fn note_outcome(&mut self, outcome: Outcome) -> io::Result<bool> {
        match outcome {
            Outcome::Acknowledged(ack) => {
                (self.said, self.down) = (String::new(), None);
                self.note(&Record::Ack(ack))?;
                Ok(true)
            }
            Outcome::Refused(sequence, why) => {
                self.note(&Record::Refused(sequence, Moment::now()))?;
                self.say_down(&why)?;
                Ok(false)
            }
            Outcome::Unknown(sequence, why) => {
                self.note(&Record::Doubt(sequence, Moment::now()))?;
                self.say_down(&why)?;
                Ok(false)
            }
        }
    }

    /// Of a session that hung and was given up: the row was in doubt, and may be no more.
    fn note_late(&mut self, outcome: Outcome) -> io::Result<()> {
        match outcome {
            Outcome::Acknowledged(ack) => self.note(&Record::Ack(ack)),
            Outcome::Refused(..) | Outcome::Unknown(..) => Ok(()),
        }
    }

    fn say_down(&mut self, why: &str) -> io::Result<()> {
        self.down.get_or_insert_with(Instant::now);
        if self.said == why {
            return Ok(());
        }
        why.clone_into(&mut self.said);
        self.note(&Record::Down(Moment::now(), why.to_owned()))?;
        // Whatever it is, it may get worse.
        self.journal.sync()
    }

    /// Asks all servers at once. Of those that take writes, the one on the newest timeline is taken.
    fn find(&mut self, stop: &AtomicBool) -> io::Result<Option<Worker>> {
        // Ports, roles and the password may be others by now.
        if let Ok(demo) = self.demo.again() {
            self.demo = demo;
        }
        let (mut asked, mut reasons) = (Vec::new(), Vec::new());
        let targets = self.demo.ready_targets();
        if targets.is_empty() {
            reasons.push("no server takes connections".to_owned());
        }
        for target in targets {
            match self.begin(target) {
                Ok(worker) => asked.push(worker),
                Err(why) => reasons.push(why),
            }
        }
        let (began, mut waiting, mut best) = (Instant::now(), asked.len(), None::<(u32, u64, u64)>);
        let mut limit = LET_IN;
        while waiting > 0 && began.elapsed() < limit && !stop.load(Ordering::Relaxed) {
            match self.heard.recv_timeout(Duration::from_millis(20)) {
                Ok(Event::Ready(id, timeline, last)) if asked.iter().any(|worker| worker.id == id) => {
                    waiting -= 1;
                    best = best.max(Some((timeline, id, last)));
                    limit = limit.min(began.elapsed() + OTHERS);
                }
                Ok(Event::Failed(id, why)) if asked.iter().any(|worker| worker.id == id) => {
                    waiting -= 1;
                    reasons.push(why);
                }
                Ok(Event::Done(_, outcome)) => self.note_late(outcome)?,
                _ => {}
            }
        }
        if let Some((.., last)) = best {
            self.journal.go_past(last);
        }
        let found = best.and_then(|(_, id, _)| asked.into_iter().find(|worker| worker.id == id));
        if found.is_none() {
            if waiting > 0 {
                reasons.push(format!("{waiting} do not answer"));
            }
            reasons.sort();
            self.say_down(&reasons.join("; "))?;
        }
        Ok(found)
    }

    fn begin(&mut self, target: Target) -> Result<Worker, String> {
        let count = self.counts.entry(target.address.clone()).or_default();
        if count.load(Ordering::Relaxed) >= HANGING {
            return Err(format!("{}: {HANGING} sessions hang there", target.address));
        }
        self.sessions += 1;
        Ok(Worker::begin(self.sessions, target, count, &self.events))
    }
}
