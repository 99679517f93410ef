//! The first process of a server's container that is ours: it decides whether the server may be opened for writes before it starts
//! it, and ends it when the lab fences it off.
//!
//! Every container sees the data of all servers. So whether another one has been promoted is seen before the server is started, also
//! where that other one does not run. What is agreed lies in files beside the data, in the server's own volume:
//!
//! | file | written by | means |
//! |---|---|---|
//! | `.host` | the container, every second | where it is reached, and that it runs |
//! | `.server` | the container | locked for as long as a process of the server lives |
//! | `.fenced` | the lab | the server is to end, and is not opened for writes again |
//! | `.rewinding` | the container | pg_rewind has begun on the data and not ended: they are no server's, and cloned anew |
//! | `.follows` | the container | the server stays closed until the new primary answers, and becomes its replica then |
//! | `.rejoin` | the lab | what was fenced off is to become a replica now |
//! | `.state` | the container | what became of that |

mod closed;
mod decide;
mod old;
mod signals;

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant, SystemTime};

use crate::compose::SERVERS_FOLDER;
use crate::demo::nodes::{self, FIRST, Node, beside};
use crate::demo::{DataLock, DataState, FENCED, Layout, is_noted};
use crate::error::{Context, Error};
use crate::role::Role;
use crate::say::say;
use crate::server::{DataDirectory, Owner, Stop};
use closed::Closed;
use decide::Part;
use signals::Signals;

/// How often the files are looked at.
const TICK: Duration = Duration::from_millis(200);

/// How often it is noted that the container runs.
const NOTED: Duration = Duration::from_secs(1);

/// How long each way of stopping a server that is fenced off may take.
const FAST: Duration = Duration::from_secs(10);
const IMMEDIATE: Duration = Duration::from_secs(5);

/// How long what ran the server may take to end after it.
const ENDS: Duration = Duration::from_secs(5);

/// How often an old primary tries again to become a replica.
const AGAIN: Duration = Duration::from_secs(10);

/// As a shell says of a program that a signal has ended.
const SIGNALLED: i32 = 128;

/// Runs a server's command for as long as it may, as a child; returns the exit code.
pub fn run(data: &Path, command: &[OsString]) -> Result<u8, Error> {
    let folder = std::env::var_os(SERVERS_FOLDER).map(PathBuf::from).unwrap_or_default();
    let (owner, mut signals) = (Owner::current(), Signals::catch()?);
    let mut keeper = Keeper {
        name: name_of(data)?,
        data: data.to_owned(),
        servers: folder,
        owner,
        command: command.to_vec(),
        noted: None,
        said: String::new(),
        fenced_here: false,
        tried: None,
    };
    keeper.note_host()?;
    loop {
        let start = match keeper.prepare(&mut signals)? {
            Some(start) => start,
            None => return Ok(130),
        };
        match keeper.keep(&start, &mut signals)? {
            Some(status) => return Ok(code(status)),
            None => continue,
        }
    }
}

/// Where the server is reached that is the primary by its data.
pub fn find_primary() -> Result<String, Error> {
    let layout = Layout::find(None)?;
    let host = layout.node(Role::Primary).map(|node| node.host.clone());
    host.ok_or_else(|| Error::Environment(format!("{} is not set", SERVERS_FOLDER)))
}

/// How the child is started.
#[derive(Debug, Default, PartialEq, Eq)]
struct Start {
    /// Whom it follows, if it does.
    primary: Option<String>,
    /// Whether there must be another primary: then the data are made by a clone, where there are none.
    follows: bool,
}

struct Keeper {
    name: String,
    data: PathBuf,
    servers: PathBuf,
    owner: Owner,
    command: Vec<OsString>,
    noted: Option<Instant>,
    said: String,
    /// Whether it was fenced off since the container was started: then it waits to be told.
    fenced_here: bool,
    /// When it was last tried to make a replica of it.
    tried: Option<Instant>,
}

impl Keeper {
    fn beside(&self, ending: &str) -> PathBuf {
        beside(&self.data, ending)
    }

    fn own(&self) -> Option<DataState> {
        DataState::read(&self.data, &self.owner)
    }

    /// All servers but this one, the primary by its data first.
    fn nodes(&self) -> (Vec<Node>, bool) {
        let all = nodes::find(&self.servers, &self.owner);
        let is_first = all.first().is_some_and(|node| node.name == self.name);
        (all.into_iter().filter(|node| node.name != self.name).collect(), is_first)
    }

    /// Says something once.
    fn say(&mut self, what: &str) {
        if self.said != what {
            what.clone_into(&mut self.said);
            say(&format!("{}: {what}", self.name));
        }
    }

    /// Where it is reached, and that it runs.
    fn note_host(&mut self) -> Result<(), Error> {
        if self.noted.is_some_and(|noted| noted.elapsed() < NOTED) {
            return Ok(());
        }
        let path = self.beside("host");
        let noted = match self.noted {
            None => std::fs::read_to_string("/proc/sys/kernel/hostname")
                .and_then(|host| self.owner.write(&path, host.as_bytes(), false)),
            // A full disk must not end a server.
            Some(_) => {
                let _ = File::open(&path).and_then(|file| file.set_modified(SystemTime::now()));
                Ok(())
            }
        };
        self.noted = Some(Instant::now());
        noted.context(|| format!("write {}", path.display()))
    }

    /// Waits until the server may be started; nothing if the container is stopped meanwhile.
    fn prepare(&mut self, signals: &mut Signals) -> Result<Option<Start>, Error> {
        let began = Instant::now();
        let mut closed = None;
        loop {
            self.note_host()?;
            if closed.is_none() && self.own().is_some() && !self.beside("initialising").exists() {
                closed = Closed::listen();
            }
            if let Some(closed) = &closed {
                // Why, is said in the log: whoever reaches the port need not know it.
                let why = if is_noted(&self.data, FENCED, &self.owner) { "fenced off" } else { "see its log" };
                closed.answer(&format!("{} is closed: {why}", self.name));
            }
            if signals.pending().any(|signal| signal.ends()) {
                return Ok(None);
            }
            match self.part(began) {
                Part::Starts(start) => {
                    self.note_follows(false);
                    return Ok(Some(start));
                }
                Part::Waits(why) => {
                    self.note_follows(false);
                    self.say(&why);
                }
                Part::Old(writer) => {
                    let told = self.beside("rejoin").exists();
                    let waits_to_be_told = self.fenced_here && !told;
                    self.note_follows(!waits_to_be_told);
                    if waits_to_be_told {
                        self.say("fenced off: docker compose exec lab operations-lab rejoin makes it a replica");
                    } else if self.tried.is_none_or(|tried| tried.elapsed() >= AGAIN) || told {
                        match old::become_replica(self, &writer) {
                            Ok(start) => return Ok(Some(start)),
                            Err(error) => self.not_yet(&error),
                        }
                    }
                }
            }
            std::thread::sleep(TICK);
        }
    }

    /// Whether it is to become a replica by itself, for the healthcheck: Compose starts whom it is to follow only after it.
    fn note_follows(&self, follows: bool) {
        let note = self.beside("follows");
        // Without it the container is unhealthy, or for too short a time.
        let _ = match follows {
            true if note.exists() => Ok(()),
            true => self.owner.write(&note, b"", false),
            false => std::fs::remove_file(&note),
        };
    }

    /// It stays closed, and is tried again.
    fn not_yet(&mut self, error: &Error) {
        self.tried = Some(Instant::now());
        // Who has asked is told why, and may ask again.
        let _ = std::fs::remove_file(self.beside("rejoin"));
        let _ = self.owner.write(&self.beside("state"), format!("failed: {error}\n").as_bytes(), false);
        self.say(&format!("it was the primary, and cannot be made a replica yet: {error}"));
    }

    /// A layout in which this server has the replica's part, and another one the primary's.
    fn layout(&self, writer: Node) -> Layout {
        let folder = self.data.parent().unwrap_or(&self.data).to_owned();
        let own = Node { name: self.name.clone(), number: 1, host: String::new(), data: self.data.clone() };
        Layout {
            state: crate::tools::State::at(folder.clone(), self.owner.clone()),
            folder,
            owner: self.owner.clone(),
            in_containers: true,
            nodes: vec![writer, own],
            upstream: None,
        }
    }

    /// Runs the server; its exit status, or nothing if it is to be started anew.
    fn keep(&mut self, start: &Start, signals: &mut Signals) -> Result<Option<ExitStatus>, Error> {
        let nobody = Node { name: String::new(), number: 0, host: String::new(), data: PathBuf::new() };
        let (layout, data) = (self.layout(nobody), DataDirectory::new(&self.data, &self.owner));
        let lock = DataLock::take(&layout, Role::Replica, &data)?;
        self.set_synchronous()?;
        let mut command = self.child(start);
        let mut child = lock.spawn(&mut command)?;
        // From now on the child and what it starts hold it.
        let note = lock.into_note();
        let (mut noted, mut looked) = (None, Instant::now());
        loop {
            self.note_host()?;
            for signal in signals.pending() {
                signal.send_to(&child);
            }
            if let Some(status) = child.try_wait().context(|| "wait for the server".to_owned())? {
                return Ok(Some(status));
            }
            if self.beside(FENCED).exists() {
                self.end(&mut child, &data)?;
                self.fenced_here = true;
                return Ok(None);
            }
            if noted != data.recorded_pid() {
                noted = data.recorded_pid();
                self.note_follows(false);
                // Only an aid at the next start.
                let _ = note.remember(&self.data);
            }
            if looked.elapsed() >= NOTED {
                looked = Instant::now();
                if let Some(other) = self.follows_another(start) {
                    self.say(&format!("{other} is the primary now: following it"));
                    self.end(&mut child, &data)?;
                    return Ok(None);
                }
            }
            std::thread::sleep(TICK);
        }
    }

    /// SYNC is heeded at each start of what is no replica. A first start does it at its end: until then nobody follows.
    fn set_synchronous(&self) -> Result<(), Error> {
        let path = self.data.join("postgresql.auto.conf");
        if self.own().is_none_or(|own| !own.opens_for_writes()) || self.beside("initialising").exists() {
            return Ok(());
        }
        let what = || format!("write {}", path.display());
        let text = self.owner.read(&path).context(what)?;
        let is_it = |line: &str| line.trim_start().starts_with("synchronous_standby_names");
        let mut wanted: String = text.lines().filter(|line| !is_it(line)).map(|line| format!("{line}\n")).collect();
        if synchronous() {
            wanted.push_str(&format!("synchronous_standby_names = '{}'\n", nodes::synchronous_names()));
        }
        match wanted == text {
            true => Ok(()),
            false => self.owner.write(&path, wanted.as_bytes(), true).context(what),
        }
    }

    fn child(&self, start: &Start) -> Command {
        let mut command = Command::new(self.command.first().cloned().unwrap_or_default());
        command.args(self.command.iter().skip(1)).env("OPERATIONS_NODE", &self.name);
        if let Some(primary) = &start.primary {
            command.env("PRIMARY_HOST", primary);
        }
        if start.follows {
            command.env("OPERATIONS_FOLLOWS", "1");
        }
        if self.own().is_none_or(|own| own.opens_for_writes()) {
            command.env("OPERATIONS_STANDBYS", if synchronous() { nodes::synchronous_names() } else { String::new() });
        }
        command
    }

    /// Ends the server for certain.
    fn end(&self, child: &mut Child, data: &DataDirectory) -> Result<(), Error> {
        for (how, limit) in [(Stop::Fast, FAST), (Stop::Immediate, IMMEDIATE)] {
            match data.stop(how, limit) {
                Err(Error::Timeout { .. }) => {}
                ended => {
                    ended?;
                    break;
                }
            }
        }
        if data.is_running() {
            data.kill_all()?;
        }
        let ended = crate::server::try_wait("what ran the server to end", ENDS, || match child.try_wait() {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err("it runs".to_owned()),
            Err(error) => Err(error.to_string()),
        });
        if ended.is_err() {
            // What it waits for is over.
            let _ = child.kill();
            let _ = child.wait();
        }
        data.kill_leftovers()
    }
}

/// Whether commits are to wait for a replica.
fn synchronous() -> bool {
    std::env::var("SYNC").is_ok_and(|value| value == "on")
}

/// The name of a server by the folder of its data.
fn name_of(data: &Path) -> Result<String, Error> {
    let name = data.file_name().unwrap_or_default().to_string_lossy();
    match name.strip_prefix("replica_") {
        Some(number) => Ok(format!("{}{number}", nodes::OTHERS)),
        None if name == "primary" => Ok(FIRST.to_owned()),
        None => Err(Error::Environment(format!("{} is the data of no server of the demo", data.display()))),
    }
}

fn code(status: ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt;
    let signalled = || status.signal().map(|signal| SIGNALLED + signal);
    status.code().or_else(signalled).and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}
