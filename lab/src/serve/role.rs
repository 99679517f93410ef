//! The role that looks: it may log in, call the doctor and read what pg_monitor may, and nothing more.

use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use crate::connect::{Refusal, session};
use crate::demo::{Demo, Layout, folders};
use crate::error::{Context, Error, PageError};
use crate::role::Role;
use crate::server::try_wait;

/// Its name.
pub const USER: &str = "operations_lab";

/// How long a server may take to let it in.
const CONNECT: Duration = Duration::from_secs(3);

/// How long a replica may take to know of it.
const REPLAY: Duration = Duration::from_secs(5);

/// What makes it; Compose runs it, too.
const SCRIPT: &str = include_str!("../../../docker/init_main/09_lab_role.sql");

/// Where the page keeps its password and its log.
pub fn folder(layout: &Layout) -> PathBuf {
    layout.folder.join("serve")
}

fn file(layout: &Layout) -> PathBuf {
    folder(layout).join("password")
}

/// Its password in a demo. In containers it is that of the environment, which made the role, too.
pub fn password(layout: &Layout) -> Result<String, Error> {
    if layout.in_containers {
        return std::env::var("LAB_PASSWORD").map_err(|_| Error::Environment("LAB_PASSWORD is not set".to_owned()));
    }
    let file = file(layout);
    let text = layout.owner.read(&file);
    let text = text.map_err(|_| Error::Page(PageError::NoLabPassword { file: file.clone() }))?;
    Ok(text.trim_end().to_owned())
}

/// Makes the role in a demo that runs, with a password that only the servers' user can read, unless both are there.
pub fn make(demo: &Demo) -> Result<(), Error> {
    let layout = &demo.layout;
    folders::owned_folder(&folder(layout), &layout.owner)?;
    if password(layout).is_ok_and(|password| may_log_in(demo, &password)) {
        return Ok(());
    }
    let (password, file) = (random()?, file(layout));
    let written = layout.owner.write(&file, format!("{password}\n").as_bytes(), true);
    written.context(|| format!("write {}", file.display()))?;
    let mut psql = demo.psql(Role::Primary)?;
    layout.owner.runs(&mut psql);
    psql.args(["--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", "--file", "-"]);
    psql.env("LAB_PASSWORD", &password).env("PGCONNECT_TIMEOUT", "5").env("PGOPTIONS", "-c statement_timeout=20s");
    let mut child = psql
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context(|| "run psql".to_owned())?;
    if let Some(mut stdin) = child.stdin.take() {
        // psql that ended says itself why.
        let _ = stdin.write_all(SCRIPT.as_bytes());
    }
    let output = child.wait_with_output().context(|| "wait for psql".to_owned())?;
    let said = String::from_utf8_lossy(&output.stderr);
    match output.status.success() {
        true => {
            wait_for_replicas(demo, &password);
            Ok(())
        }
        false => Err(PageError::LabRole { why: said.lines().next().unwrap_or_default().to_owned() }.into()),
    }
}

/// Who is refused is asked again only after a while, so the page begins when the replicas know the role, too. One that is away, or
/// replays late, learns of it later.
fn wait_for_replicas(demo: &Demo, password: &str) {
    for target in super::targets_of(demo, password).iter().skip(1) {
        let _ = try_wait("the replica to know the role", REPLAY, || match session(target, CONNECT, CONNECT) {
            Err(Refusal::Password(why)) => Err(why.to_string()),
            _ => Ok(()),
        });
    }
}

fn may_log_in(demo: &Demo, password: &str) -> bool {
    let targets = super::targets_of(demo, password);
    targets.first().is_some_and(|target| session(target, CONNECT, CONNECT).is_ok())
}

/// 128 random bits.
fn random() -> Result<String, Error> {
    let mut bytes = [0_u8; 16];
    let read = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    read.context(|| "read /dev/urandom".to_owned())?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
