//! A data directory made by `initdb` once and copied for every server: a copy takes a tenth of the time.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::environment::Environment;
use crate::error::{Context, Error};
use crate::programs::finish;
use crate::{REPLICATOR, SUPERUSER};

/// Makes `data` a fresh data directory, by a copy of the template or (`own`) by an `initdb` of its own, which gives
/// it another system identifier. Returns the password of every role that the tests make.
pub(crate) fn data_directory(environment: &Environment, data: &Path, own: bool) -> Result<String, Error> {
    let (template, password) = template(environment)?;
    if own {
        return initdb(environment, data, &password).map(|()| password);
    }
    let mut copy = std::process::Command::new("cp");
    copy.args(["-a", "--reflink=auto"]).arg(&template).arg(data);
    finish(copy)?.success()?;
    Ok(password)
}

/// The template and its password; made by whoever comes first, the others wait for the lock.
fn template(environment: &Environment) -> Result<(PathBuf, String), Error> {
    let mut version = environment.program("postgres");
    version.arg("--version");
    let version = finish(version)?.success()?;
    let version: String = version.chars().filter(char::is_ascii_alphanumeric).collect();
    let folder = environment.scratch.join(format!("template-{version}"));
    let (data, secret) = (folder.join("data"), folder.join("password"));

    let lock_path = environment.scratch.join("template.lock");
    let lock = File::create(&lock_path).context(|| format!("make {}", lock_path.display()))?;
    lock.lock().context(|| format!("lock {}", lock_path.display()))?;
    // The password is written last: where it is, the template is whole.
    if !secret.exists() {
        if folder.exists() {
            std::fs::remove_dir_all(&folder).context(|| format!("remove the unfinished {}", folder.display()))?;
        }
        std::fs::create_dir(&folder).context(|| format!("make {}", folder.display()))?;
        environment.hand_over(&folder)?;
        let password = random_password()?;
        initdb(environment, &data, &password)?;
        write_secret(&secret, &password)?;
    }
    let password = std::fs::read_to_string(&secret).context(|| format!("read the password in {}", secret.display()))?;
    Ok((data, password))
}

fn initdb(environment: &Environment, data: &Path, password: &str) -> Result<(), Error> {
    let mut file =
        tempfile::NamedTempFile::new_in(&environment.scratch).context(|| "make a password file".to_owned())?;
    std::io::Write::write_all(&mut file, password.as_bytes()).context(|| "write the password file".to_owned())?;
    environment.hand_over(file.path())?;
    let mut command = environment.program("initdb");
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
    let text = std::fs::read_to_string(&hba).context(|| format!("read {}", hba.display()))?;
    std::fs::write(&hba, text + &rule).context(|| format!("write {}", hba.display()))
}

fn random_password() -> Result<String, Error> {
    let mut bytes = [0_u8; 16];
    let mut source = File::open("/dev/urandom").context(|| "open /dev/urandom".to_owned())?;
    std::io::Read::read_exact(&mut source, &mut bytes).context(|| "read /dev/urandom".to_owned())?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A file that nobody else may read, there whole or not at all.
fn write_secret(path: &Path, text: &str) -> Result<(), Error> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file =
        tempfile::NamedTempFile::new_in(folder).context(|| format!("make a file in {}", folder.display()))?;
    std::io::Write::write_all(&mut file, text.as_bytes()).context(|| format!("write {}", path.display()))?;
    file.persist(path).map(drop).map_err(|error| error.error).context(|| format!("write {}", path.display()))
}
