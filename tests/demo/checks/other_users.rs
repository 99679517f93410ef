//! Everybody with a password of the demo can be the user who runs the server (COPY .. TO PROGRAM). What that user leaves in its
//! folders must not lead root anywhere; nor may a demo take the data of one that lives in another container.

use std::fs::{OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::user::{Outcome, PASSWORD, REPLICATION_PASSWORD, Running, Stop, User, require};

const LARGE: u64 = 30_000_000;

/// Root's files, and how they were.
struct Victim {
    folder: PathBuf,
    before: String,
}

impl Victim {
    fn make(folder: PathBuf) -> Outcome<Self> {
        if !rustix::process::geteuid().is_root() {
            return Err(Stop::Skipped("only root has something to give away".to_owned()));
        }
        std::fs::DirBuilder::new().mode(0o750).create(&folder)?;
        std::fs::write(folder.join("file"), "secret\n")?;
        std::fs::set_permissions(folder.join("file"), Permissions::from_mode(0o640))?;
        std::fs::File::create(folder.join("large"))?.set_len(LARGE)?;
        let before = state(&folder)?;
        Ok(Self { folder, before })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn is_unharmed(&self) -> Outcome {
        let now = state(&self.folder)?;
        require(now == self.before, format!("root's files are now\n{now}\nand were\n{}", self.before))
    }
}

/// Names, owners, modes, sizes and times of a folder and of what is in it, and the small file's contents.
fn state(folder: &Path) -> Outcome<String> {
    let mut paths = vec![folder.to_owned()];
    for entry in std::fs::read_dir(folder)? {
        paths.push(entry?.path());
    }
    paths.sort();
    let mut lines = Vec::new();
    for path in paths {
        let found = std::fs::symlink_metadata(&path)?;
        let (owner, group, mode) = (found.uid(), found.gid(), found.mode());
        lines.push(format!(
            "{} {owner} {group} {mode:o} {} {}.{}",
            path.display(),
            found.len(),
            found.mtime(),
            found.mtime_nsec()
        ));
    }
    lines.push(std::fs::read_to_string(folder.join("file"))?);
    Ok(lines.join("\n"))
}

/// Puts a link somewhere, as the server's user, in place of another link or of nothing.
fn plant(user: &User, target: &Path, link: &Path) -> Outcome {
    Ok(user.owner.files(|| {
        if std::fs::symlink_metadata(link).is_ok_and(|found| found.is_symlink()) {
            std::fs::remove_file(link)?;
        }
        symlink(target, link)
    })?)
}

fn grow(user: &User, file: &Path) -> Outcome {
    Ok(user.owner.files(|| OpenOptions::new().write(true).open(file)?.set_len(LARGE))?)
}

pub fn root_follows_no_link_of_the_servers_user(user: &User) -> Outcome {
    let (owner, trap) = (&user.owner, user.path("trap"));
    let victim = Victim::make(user.path("victim"))?;
    let demo = format!("DEMO_DIR={}", trap.display());

    // A first start in a folder full of links.
    for folder in [trap.clone(), trap.join("run")] {
        std::fs::create_dir(&folder)?;
        std::os::unix::fs::chown(&folder, Some(owner.uid()), Some(owner.gid()))?;
    }
    for name in ["settings", "settings.new", "pgpass", "pgpass.new", "password.new", "password.new.new"] {
        plant(user, &victim.path("file"), &trap.join(name))?;
    }
    for name in ["docker", "primary.new", "replica.clone", "receipt", "kept", "run.alone"] {
        plant(user, &victim.folder, &trap.join(name))?;
    }
    // Passwords from files that only root can read.
    let mut first = vec!["demo".to_owned(), demo.clone()];
    for (name, password) in [("POSTGRES_PASSWORD", PASSWORD), ("REPLICATION_PASSWORD", REPLICATION_PASSWORD)] {
        let file = user.path(name);
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file)?.write_all(password.as_bytes())?;
        first.extend([format!("{name}="), format!("{name}_FILE={}", file.display())]);
    }
    let started = user.succeeds(&first);
    victim.is_unharmed()?;
    started?;
    require(std::fs::symlink_metadata(trap.join("settings"))?.is_file(), "the settings are no file")?;

    // The log of a server, its lock, and names for what is made new at each start.
    user.succeeds(&["stop", &demo])?;
    for name in ["settings.new", "password.new", "primary.log.1"] {
        plant(user, &victim.path("file"), &trap.join(name))?;
    }
    owner.files(|| std::fs::remove_dir_all(trap.join("docker")))?;
    plant(user, &victim.folder, &trap.join("docker"))?;
    grow(user, &trap.join("primary.log"))?;
    user.succeeds(&["demo", &demo])?;
    victim.is_unharmed()?;
    user.succeeds(&["status", &demo])?;
    user.succeeds(&["stop", &demo])?;
    owner.files(|| std::fs::remove_file(trap.join("primary.log")))?;
    plant(user, &victim.path("large"), &trap.join("primary.log"))?;
    user.fails(&["demo", &demo])?;
    user.printed("error: the primary did not start")?;
    victim.is_unharmed()?;

    // A process of root's for a server, and links for the data and the folder of the sockets.
    let process = Command::new("sleep").arg("600").current_dir(trap.join("primary")).spawn()?;
    let mut process = Running(process);
    let pid = process.0.id();
    owner.files(|| std::fs::write(trap.join("primary/postmaster.pid"), format!("{pid}\n")))?;
    user.succeeds(&["stop", &demo])?;
    user.printed("The demo is not running")?;
    require(process.0.try_wait()?.is_none(), "a process of root's was ended")?;
    owner.files(|| std::fs::rename(trap.join("primary"), trap.join("data")))?;
    plant(user, &victim.folder, &trap.join("primary"))?;
    user.fails(&["status", &demo])?;
    user.succeeds(&["stop", &demo])?;
    owner.files(|| std::fs::remove_dir_all(trap.join("run")))?;
    plant(user, &victim.folder, &trap.join("run"))?;
    user.fails(&["demo", &demo])?;
    user.printed(format!("error: {} does not belong to the user {}", trap.join("run").display(), owner.name))?;
    victim.is_unharmed()?;
    user.succeeds(&["clean", &demo])?;
    victim.is_unharmed()
}

/// A command that shares the folder and the machine's ports with the demo, and sees none of its processes.
fn elsewhere(command: &Command) -> Command {
    let mut inside = Command::new("unshare");
    inside.args(["--pid", "--ipc", "--fork", "--mount-proc", "--kill-child"]);
    inside.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => inside.env(name, value),
            None => inside.env_remove(name),
        };
    }
    inside.stdin(Stdio::null());
    inside
}

/// A demo in a namespace of its own, all of whose processes end with its first: a shell that waits for its standard input.
fn demo_elsewhere(user: &User, arguments: &[&str], log: &Path) -> Outcome<Child> {
    let make = user.make(arguments);
    let mut shell = Command::new("sh");
    // Nothing of make, nor of the servers, may hold the end that is waited on.
    shell.args(["-c", "exec 3<&0; \"$@\" </dev/null 3<&- && read -r line <&3", "sh"]);
    shell.arg(make.get_program()).args(make.get_args());
    let mut inside = elsewhere(&shell);
    for (name, value) in make.get_envs() {
        match value {
            Some(value) => inside.env(name, value),
            None => inside.env_remove(name),
        };
    }
    let output = std::fs::File::create(log)?;
    Ok(inside.stdin(Stdio::piped()).stderr(output.try_clone()?).stdout(output).spawn()?)
}

pub fn data_of_another_container_are_left_alone(user: &User) -> Outcome {
    let (shared, log) = (user.path("shared"), user.path("inner.log"));
    let demo = format!("DEMO_DIR={}", shared.display());
    if !rustix::process::geteuid().is_root() {
        return Err(Stop::Skipped("only root can make a PID namespace".to_owned()));
    }
    if !elsewhere(&Command::new("true")).stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
        return Err(Stop::Skipped("no PID and IPC namespace can be made here".to_owned()));
    }
    let pid_file = shared.join("primary/postmaster.pid");
    let mut inner = Running(demo_elsewhere(user, &["demo", &demo], &log)?);
    user.prints(&mut inner, &log, "The demo lives", 300)?;
    let server = std::fs::read_to_string(&pid_file)?;
    let (primary, replica) = (user.free_port()?, user.free_port()?);
    let ports = [format!("PRIMARY_PORT={primary}"), format!("REPLICA_PORT={}", replica.max(primary + 1))];
    let second = user.make(&["demo", &demo, &ports[0], &ports[1]]);
    let succeeded = user.run(elsewhere(&second))?;
    require(!succeeded, "a second demo started on the data of the first")?;
    user.printed(format!("is at work in {}", shared.join("primary").display()))?;
    require(std::fs::read_to_string(&pid_file)? == server, "the postmaster.pid of the first was changed")?;
    let mut psql = Command::new(user.bindir.join("psql"));
    psql.args(["-w", "-U", "postgres", "-h", "127.0.0.1", "-d", "operations_db", "-c", "SELECT 1"]);
    psql.args(["-p", &user.primary_port.to_string()]).env("PGPASSWORD", PASSWORD);
    require(user.run(psql)?, "the first does not answer")?;

    // Once it is dead its lock is not in the way, though another process of the same user has its number.
    drop(inner.0.stdin.take());
    inner.0.wait()?;
    user.becomes("", 20, || Ok(user.processes_in(&user.path(""))))?;
    require(std::fs::read_to_string(&pid_file)? == server, "the postmaster.pid is gone")?;
    let mut other = Command::new("sleep");
    let other = Running(user.owner.runs(other.arg("600")).spawn()?);
    let taken = |text: &str| {
        let rest = text.split_once('\n').map_or("", |(_, rest)| rest);
        format!("{}\n{rest}", other.0.id())
    };
    for file in [&pid_file, &shared.join("primary.lock")] {
        let text = taken(&user.owner.read(file)?);
        user.owner.files(|| std::fs::write(file, text))?;
    }
    user.succeeds(&["demo", &demo])?;
    user.succeeds(&["clean", &demo])
}
