//! A replica whose files are damaged, or whose password no longer fits.

use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::Duration;

use crate::doctor::Finding;
use crate::drill::fault::{Fault, Healed, make_demo};
use crate::drill::faults::servers::inode;
use crate::drill::scene::Scene;
use crate::error::{Context, Error};
use crate::role::Role;

/// Removes the replica's files of the database.
#[derive(Default)]
pub struct FilesGone {
    data: u64,
}

impl FilesGone {
    /// The fault.
    pub fn fault() -> Box<dyn Fault> {
        Box::new(Self::default())
    }
}

impl Fault for FilesGone {
    fn prepare(&mut self, scene: &Scene) -> Result<(), Error> {
        self.data = inode(scene, Role::Replica)?;
        Ok(())
    }

    fn cause(&mut self, scene: &Scene) -> Result<String, Error> {
        crate::demo::with_replica(&scene.demo, |data| {
            let base = data.path().join("base");
            let removed = scene.demo.layout.owner.files(|| {
                for database in std::fs::read_dir(&base)? {
                    for file in std::fs::read_dir(database?.path())? {
                        std::fs::remove_file(file?.path())?;
                    }
                }
                Ok(())
            });
            removed.context(|| format!("remove the files of {}", base.display()))
        })?;
        Ok("all files under base/ of the replica were removed".to_owned())
    }

    fn heal(&mut self, scene: &Scene, _seen: &Finding) -> Result<Healed, Error> {
        make_demo(scene)
    }

    fn check(&mut self, scene: &Scene) -> Result<Vec<String>, Error> {
        let is_new = inode(scene, Role::Replica)? != self.data;
        Ok(if is_new { Vec::new() } else { vec!["the replica was not cloned anew".to_owned()] })
    }
}

/// Damages a page on the replica's disk. A database of its own is used: its files are copied, so that no page of them is in
/// memory yet.
#[derive(Default)]
pub struct DamagedPage;

impl DamagedPage {
    /// The fault.
    pub fn fault() -> Box<dyn Fault> {
        Box::new(Self)
    }
}

/// Its name. Nobody else has one of that name: what exists before is left alone.
const DATABASE: &str = "operations_drill_page";

const DROP: &str = "DROP DATABASE IF EXISTS operations_drill_page WITH (FORCE)";

const READ: &str = "SELECT sum(length(description)) FROM pg_description";

impl Fault for DamagedPage {
    fn prepare(&mut self, scene: &Scene) -> Result<(), Error> {
        let exists = "SELECT count(*) FROM pg_database WHERE datname = 'operations_drill_page'";
        if scene.ask(Role::Primary, exists)? != "0" {
            return Err(Error::Environment(format!(
                "there is a database {DATABASE} already; if it is left from a drill that was killed: DROP DATABASE {DATABASE}"
            )));
        }
        scene.run(Role::Primary, &["CREATE DATABASE operations_drill_page TEMPLATE template0 STRATEGY file_copy"])?;
        let demo = scene.demo.clone();
        scene.later(DROP, move || {
            demo.ask(Role::Primary, DROP).map(drop).map_err(|refusal| Error::Environment(refusal.to_string()))
        });
        scene.becomes(Role::Replica, exists, "1", Duration::from_secs(30))
    }

    fn cause(&mut self, scene: &Scene) -> Result<String, Error> {
        let path = "SELECT 'base/' || oid FROM pg_database WHERE datname = 'operations_drill_page'";
        let folder = scene.data(Role::Replica).path().join(scene.ask(Role::Replica, path)?);
        let mut session = database(scene, DATABASE)?;
        let name = crate::server::text(&mut session, "SELECT pg_relation_filenode('pg_description')")?;
        let file: PathBuf = folder.join(name);
        crate::demo::with_replica(&scene.demo, |_| {
            let damaged = scene.demo.layout.owner.files(|| {
                let file = std::fs::OpenOptions::new().read(true).write(true).open(&file)?;
                let mut byte = [0];
                file.read_exact_at(&mut byte, 8000)?;
                file.write_all_at(&[byte[0] ^ 1], 8000)
            });
            damaged.context(|| format!("damage {}", file.display()))
        })?;
        match crate::server::text(&mut session, READ) {
            Ok(_) => Err(Error::Environment("the damaged page was read as if it were good".to_owned())),
            Err(_) => Ok("a bit of a page on the replica's disk was turned, and the page was read".to_owned()),
        }
    }

    fn heal(&mut self, scene: &Scene, _seen: &Finding) -> Result<Healed, Error> {
        crate::demo::remove_replica(&scene.demo)?;
        make_demo(scene)?;
        // After a failover the replica's data lie in the folder that is named after the primary.
        let data = scene.demo.layout.data(Role::Replica);
        let name = data.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Healed::Typed(format!("rm -r DEMO/{name}; make demo")))
    }
}

fn database(scene: &Scene, name: &str) -> Result<postgres::Client, Error> {
    let mut config = scene.demo.target(Role::Replica).config();
    config.dbname(name).connect_timeout(Duration::from_secs(5));
    Ok(crate::connect::guarded(config, "").connect(postgres::NoTls)?)
}

/// The replica's password is changed on the primary, and the replica restarted by whoever does not know.
#[derive(Default)]
pub struct WrongPassword {
    /// What the server keeps of the password that was there.
    verifier: Option<String>,
}

impl WrongPassword {
    /// The fault.
    pub fn fault() -> Box<dyn Fault> {
        Box::new(Self::default())
    }
}

const VERIFIER: &str = "SELECT rolpassword FROM pg_catalog.pg_authid WHERE rolname = $1";

/// Sets the password of the replication role, or what the server keeps of it. No log is told it, also where it fails.
fn set_password(scene: &Scene, password: Option<&str>) -> Result<(), Error> {
    let settings = &scene.demo.settings;
    let mut session = scene.session(Role::Primary)?;
    session.batch_execute(
        "SET log_statement = 'none'; SET log_min_duration_statement = -1; SET log_min_duration_sample = -1; \
         SET log_transaction_sample_rate = 0; SET log_min_error_statement = 'panic'; SET log_parameter_max_length_on_error = 0",
    )?;
    let query = "SELECT pg_catalog.format('ALTER ROLE %I PASSWORD %L', $1::text, $2::text)";
    let row = session.query_one(query, &[&settings.replication_user, &password])?;
    session.batch_execute(row.try_get(0)?)?;
    Ok(())
}

/// One that nobody knows.
fn random_password() -> Result<String, Error> {
    use std::io::Read;
    let mut bytes = [0_u8; 24];
    let read = std::fs::File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut bytes));
    read.context(|| "read /dev/urandom".to_owned())?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

impl Fault for WrongPassword {
    fn cause(&mut self, scene: &Scene) -> Result<String, Error> {
        let user = &scene.demo.settings.replication_user;
        let row = scene.session(Role::Primary)?.query_one(VERIFIER, &[user])?;
        let verifier: Option<String> = row.try_get(0)?;
        self.verifier.clone_from(&verifier);
        let again = Scene::new(scene.demo.clone(), std::sync::Arc::default(), scene.pace)?;
        scene.later("the replica's password", move || set_password(&again, verifier.as_deref()));
        set_password(scene, Some(&random_password()?))?;
        // As a restart of the replica would: its connection ends, and a new one is asked for the password.
        let end = "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active_pid IS NOT NULL";
        scene.run(Role::Primary, &[end])?;
        Ok("the replication role got another password, and the replica had to connect again".to_owned())
    }

    fn heal(&mut self, scene: &Scene, _seen: &Finding) -> Result<Healed, Error> {
        set_password(scene, self.verifier.as_deref())?;
        Ok(Healed::Typed(format!("alter role {} password '..';", scene.demo.settings.replication_user)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by a panic")]
mod tests {
    use super::random_password;

    #[test]
    fn passwords_are_long_and_differ() {
        assert_eq!(random_password().unwrap().len(), 48);
        assert_ne!(random_password().unwrap(), random_password().unwrap());
    }
}
