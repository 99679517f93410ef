//! Data directories that are made once and copied for every server: a copy takes a tenth of the time.

use std::fs::{File, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::{Context, Error};
use crate::server::finish;
use crate::throwaway::environment::Environment;
use crate::throwaway::leftovers::lock;
use crate::tools::Major;
use crate::{REPLICATOR, SUPERUSER};

/// Makes `data` a fresh data directory, by a copy of the template or (`own`) by an `initdb` of its own, which gives
/// it another system identifier. Returns the password of every role that the tests make.
pub(crate) fn data_directory(environment: &Environment, data: &Path, own: bool) -> Result<String, Error> {
    let make = |made: &Path| {
        let password = random_password()?;
        initdb(environment, made, &password)?;
        Ok(password)
    };
    if own {
        let (_, password) = template(environment, "initdb", make)?;
        return initdb(environment, data, &password).map(|()| password);
    }
    copy(environment, data, "initdb", make)
}

/// Makes `data` a copy of the template of that name, which `make` makes where it is not there yet. Returns the password.
pub(crate) fn copy(
    environment: &Environment,
    data: &Path,
    name: &str,
    make: impl FnOnce(&Path) -> Result<String, Error>,
) -> Result<String, Error> {
    let (template, password) = template(environment, name, make)?;
    let mut copy = std::process::Command::new("cp");
    environment.owner.runs(&mut copy).args(["-a", "--reflink=auto"]).arg(&template).arg(data);
    finish(copy)?.success()?;
    Ok(password)
}

/// A template and its password; made by whoever comes first, the others wait for the lock. The server is part of its name.
fn template(
    environment: &Environment,
    name: &str,
    make: impl FnOnce(&Path) -> Result<String, Error>,
) -> Result<(PathBuf, String), Error> {
    let mut version = environment.program("postgres");
    version.arg("--version");
    let version = finish(version)?.success()?;
    let version: String = version.chars().filter(char::is_ascii_alphanumeric).collect();
    let folder = environment.scratch.join(format!("{}{name}-{version}", environment.kind));
    let (data, secret) = (folder.join("data"), folder.join("password"));

    let _lock = lock(&environment.owner, &folder.with_added_extension("lock"))?;
    // The password is written last: where it is, the template is whole.
    if !secret.exists() {
        let made = environment.owner.files(|| {
            if folder.exists() {
                std::fs::remove_dir_all(&folder)?;
            }
            std::fs::create_dir(&folder)
        });
        made.context(|| format!("make {}", folder.display()))?;
        let password = make(&data)?;
        let written = environment.owner.write(&secret, password.as_bytes(), true);
        written.context(|| format!("write {}", secret.display()))?;
    }
    let password = environment.owner.read(&secret).context(|| format!("read the password in {}", secret.display()))?;
    Ok((data, password))
}

/// What the servers of a template would differ by: the installed extension, and today, by which months are made.
pub(crate) fn of_extension(environment: &Environment) -> Result<String, Error> {
    let mut hasher = DefaultHasher::new();
    let installed = environment.extension()?;
    for file in installed {
        let bytes = std::fs::read(&file).context(|| format!("read {}", file.display()))?;
        bytes.hash(&mut hasher);
    }
    let days = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / 86_400;
    Ok(format!("extension-{:016x}-{days}", hasher.finish()))
}

fn initdb(environment: &Environment, data: &Path, password: &str) -> Result<(), Error> {
    let file = environment.owner.files(|| {
        let mut file = tempfile::NamedTempFile::new_in(&environment.scratch)?;
        std::io::Write::write_all(&mut file, password.as_bytes())?;
        Ok(file)
    });
    let file = file.context(|| "make a password file".to_owned())?;
    let mut command = environment.program("initdb");
    if Major::chosen()?.number() >= 18 {
        // As the older ones do without being told: what a test is for, it sets itself.
        command.arg("--no-data-checksums");
    }
    command
        .args(["--username", SUPERUSER, "--auth", "scram-sha-256"])
        .args(["--encoding", "UTF8", "--locale", "C", "--no-sync"])
        .arg("--pwfile")
        .arg(file.path())
        .arg("--pgdata")
        .arg(data);
    finish(command)?.success()?;
    let hba = data.join("pg_hba.conf");
    let rule = format!("host replication {REPLICATOR} 127.0.0.1/32 scram-sha-256\n");
    let added = environment.owner.files(|| {
        let mut file = OpenOptions::new().append(true).open(&hba)?;
        std::io::Write::write_all(&mut file, rule.as_bytes())
    });
    added.context(|| format!("write {}", hba.display()))
}

fn random_password() -> Result<String, Error> {
    let mut bytes = [0_u8; 16];
    let mut source = File::open("/dev/urandom").context(|| "open /dev/urandom".to_owned())?;
    std::io::Read::read_exact(&mut source, &mut bytes).context(|| "read /dev/urandom".to_owned())?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
