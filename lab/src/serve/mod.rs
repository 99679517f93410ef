//! The live page and `/metrics`: watches a primary and its replicas as a role that may only look, and answers those who ask.

mod balance;
mod clock;
mod connections;
mod doctor;
mod draw;
mod files;
mod guard;
mod happened;
mod http;
mod known;
mod loads;
mod model;
mod noted;
mod patient;
mod process;
mod ring;
mod role;
mod runs;
mod scrape;
mod session;
mod store;
mod watch;

use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::pin::pin;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, pending, select};
use tokio::runtime::Builder;
use tokio::sync::Notify;
use tokio::time::sleep;

pub(crate) use process::{is_running, start, stop};
pub use role::USER;

use crate::compose::are_containers;
use crate::demo::Demo;
use crate::error::{Context, Error, PageError};
use crate::marks;
use crate::role::Role;
use crate::say::say;
use crate::target::Target;
use doctor::Patients;
use guard::Names;
use store::Store;

/// The port unless another one is told.
pub const PORT: u16 = 8080;

/// How often it is looked whether there are other containers.
const CONTAINERS: Duration = Duration::from_secs(5);

/// Whose servers are watched.
pub enum Servers {
    /// Those of the demo in a folder.
    Demo(PathBuf),
    /// These.
    Named(Vec<Target>),
}

/// What to serve, and where.
pub struct Options {
    /// The address or the name of the interface.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Names besides those of the loopback interface by which requests may come.
    pub names: Vec<String>,
    /// Whose servers are watched.
    pub servers: Servers,
}

/// What a server is called, and how to get there.
type Watched = (String, Target);

/// Serves until it is told to stop.
pub fn run(options: Options, stop: &Arc<Notify>) -> Result<(), Error> {
    let (watched, patients, notes, folder) = match options.servers {
        Servers::Demo(folder) => {
            let demo = Demo::of_its_owner(&folder)?;
            let password = role::password(&demo.layout)?;
            let targets = move |demo: &Demo| targets_of(demo, &password);
            let watched = watched_of(&demo, targets(&demo));
            let (notes, own) = (marks::file(&demo.layout), role::folder(&demo.layout));
            (watched, Patients::Demo(folder, Box::new(targets)), Some(notes), Some(own))
        }
        Servers::Named(targets) => (named(&targets), Patients::Named(targets), None, None),
    };
    let listener = listen(&options.host, options.port)?;
    let address = listener.local_addr().context(|| "look at the socket that listens".to_owned())?;
    // One that is begun by hand is nobody's to stop; the demo's own works in its folder.
    let is_at_home = |folder: &PathBuf| std::env::current_dir().ok() == folder.canonicalize().ok();
    if let Some(folder) = folder.filter(is_at_home) {
        let pid = folder.join(process::PID);
        std::fs::write(&pid, format!("{}\n", std::process::id())).context(|| format!("write {}", pid.display()))?;
    }
    // One thread does all; the doctor's questions have threads of their own.
    let runtime = Builder::new_current_thread().enable_io().enable_time().max_blocking_threads(4).build();
    let runtime = runtime.context(|| "begin to serve".to_owned())?;
    let names = Names::new(options.names.into_iter().chain([options.host]));
    let others = runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener).context(|| "begin to listen".to_owned())?;
        let store = Store::new(watched.iter().map(|(name, target)| (name.clone(), target.address.clone())));
        for (index, (_, target)) in watched.into_iter().enumerate() {
            tokio::spawn(watch::watch(Arc::clone(&store), index, target));
        }
        tokio::spawn(doctor::look(Arc::clone(&store), Arc::new(patients)));
        tokio::spawn(clock::tick(Arc::clone(&store)));
        if let Some(notes) = notes {
            tokio::spawn(clock::follow(Arc::clone(&store), notes));
        }
        say(&format!("page     {}", url(address)));
        let (others, stopped) = (pin!(other_containers()), pin!(stop.notified()));
        let end = select(others, stopped);
        Ok::<_, Error>(match select(pin!(http::serve(listener, store, names)), end).await {
            Either::Right((Either::Left(_), _)) => true,
            Either::Left(_) | Either::Right(_) => false,
        })
    })?;
    // A look of the doctor may wait for a server that hangs; nobody waits for the look.
    runtime.shutdown_background();
    match others {
        true => Err(begin_anew()),
        false => Ok(()),
    }
}

/// Ends when the containers of a demo are others than they were, as after `--scale`; elsewhere never.
async fn other_containers() {
    if !are_containers() {
        return pending().await;
    }
    let known = containers();
    while known == containers() {
        sleep(CONTAINERS).await;
    }
}

/// The servers in containers, and where each is reached. A few files are looked at.
fn containers() -> Vec<(String, String)> {
    let nodes = Demo::as_started(None).map(|demo| demo.layout.nodes).unwrap_or_default();
    by_name(nodes.into_iter().map(|node| (node.name, node.host)))
}

/// The primary comes first, and a failover makes that another one: the servers are the same, and so is this.
fn by_name(servers: impl IntoIterator<Item = (String, String)>) -> Vec<(String, String)> {
    let mut servers: Vec<_> = servers.into_iter().collect();
    servers.sort();
    servers
}

/// Runs this program again in place of itself, with the servers that there are now. Returns only if that fails.
fn begin_anew() -> Error {
    let mut command = Command::new("/proc/self/exe");
    let source = command.args(std::env::args_os().skip(1)).exec();
    Error::Io { what: "watch other servers".to_owned(), source }
}

/// The address of the page; an address that stands for all interfaces is no address to go to.
fn url(address: SocketAddr) -> String {
    match address.ip().is_unspecified() {
        true => format!("http://127.0.0.1:{}/", address.port()),
        false => format!("http://{address}/"),
    }
}

fn listen(host: &str, port: u16) -> Result<TcpListener, Error> {
    let listener = TcpListener::bind((host, port)).map_err(|source| match source.kind() {
        std::io::ErrorKind::AddrInUse => PageError::PagePortTaken { host: host.to_owned(), port }.into(),
        _ => Error::Io { what: format!("listen on {host}:{port} (LAB_HOST, LAB_PORT)"), source },
    })?;
    listener.set_nonblocking(true).context(|| "begin to listen".to_owned())?;
    Ok(listener)
}

/// The servers of a demo, as the role that may only look.
fn targets_of(demo: &Demo, password: &str) -> Vec<Target> {
    demo.targets_as(USER, password)
}

/// A server keeps the name that it was made with.
fn watched_of(demo: &Demo, targets: Vec<Target>) -> Vec<Watched> {
    let mut watched: Vec<_> = demo.layout.nodes.iter().map(|node| node.name.clone()).zip(targets).collect();
    watched.sort_by(|one, other| one.0.cmp(&other.0));
    watched
}

/// `primary`, `replica`, `replica2` and so on.
fn named(targets: &[Target]) -> Vec<Watched> {
    let mut counts = [0_u32; 2];
    let name = |target: &Target| {
        let count = &mut counts[usize::from(target.role == Role::Replica)];
        *count += 1;
        let number = if *count == 1 { String::new() } else { count.to_string() };
        (format!("{}{number}", target.role), target.clone())
    };
    targets.iter().map(name).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by a panic")]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart() {
        let target = |role, port| Target::local(role, port, "me", "db", "x");
        let targets = [(Role::Primary, 1), (Role::Replica, 2), (Role::Replica, 3), (Role::Primary, 4)];
        let named = named(&targets.map(|(role, port)| target(role, port)));
        let names: Vec<_> = named.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["primary", "replica", "replica2", "primary2"]);
    }

    #[test]
    fn a_failover_makes_no_other_containers() {
        let server = |name: &str, host: &str| (name.to_owned(), host.to_owned());
        let before = by_name([server("primary", "10.0.0.2"), server("replica", "10.0.0.3")]);
        assert_eq!(before, by_name([server("replica", "10.0.0.3"), server("primary", "10.0.0.2")]));
        assert_ne!(before, by_name([server("primary", "10.0.0.2"), server("replica", "10.0.0.4")]));
        assert_ne!(before, by_name([server("primary", "10.0.0.2")]));
    }

    #[test]
    fn a_taken_port_is_one_line_that_says_what_to_do() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let error = listen("127.0.0.1", taken.local_addr().unwrap().port()).unwrap_err().to_string();
        assert!(error.contains("is taken") && error.contains("LAB_PORT") && !error.contains('\n'), "{error}");
    }
}
