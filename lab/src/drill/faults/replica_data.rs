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
use crate::server::{LIMIT, Stop};

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
        let base = scene.data(Role::Replica).path().join("base");
        let removed = scene.demo.layout.owner.files(|| {
            for database in std::fs::read_dir(&base)? {
                for file in std::fs::read_dir(database?.path())? {
                    std::fs::remove_file(file?.path())?;
                }
            }
            Ok(())
        });
        removed.context(|| format!("remove the files of {}", base.display()))?;
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

const READ: &str = "SELECT sum(length(description)) FROM pg_description";

impl Fault for DamagedPage {
    fn prepare(&mut self, scene: &Scene) -> Result<(), Error> {
        let drop = "DROP DATABASE IF EXISTS drill WITH (FORCE)";
        scene.run(Role::Primary, &[drop])?;
        scene.run_and_undo(Role::Primary, &["CREATE DATABASE drill TEMPLATE template0 STRATEGY file_copy"], &[drop])?;
        let exists = "SELECT count(*) FROM pg_database WHERE datname = 'drill'";
        scene.becomes(Role::Replica, exists, "1", Duration::from_secs(30))
    }

    fn cause(&mut self, scene: &Scene) -> Result<String, Error> {
        let path = "SELECT 'base/' || oid FROM pg_database WHERE datname = 'drill'";
        let folder = scene.data(Role::Replica).path().join(scene.ask(Role::Replica, path)?);
        let mut session = database(scene, "drill")?;
        let name = crate::server::text(&mut session, "SELECT pg_relation_filenode('pg_description')")?;
        let file: PathBuf = folder.join(name);
        let damaged = scene.demo.layout.owner.files(|| {
            let file = std::fs::OpenOptions::new().read(true).write(true).open(&file)?;
            let mut byte = [0];
            file.read_exact_at(&mut byte, 8000)?;
            file.write_all_at(&[byte[0] ^ 1], 8000)
        });
        damaged.context(|| format!("damage {}", file.display()))?;
        match crate::server::text(&mut session, READ) {
            Ok(_) => Err(Error::Environment("the damaged page was read as if it were good".to_owned())),
            Err(_) => Ok("a bit of a page on the replica's disk was turned, and the page was read".to_owned()),
        }
    }

    fn heal(&mut self, scene: &Scene, _seen: &Finding) -> Result<Healed, Error> {
        let data = scene.data(Role::Replica);
        data.stop(Stop::Fast, LIMIT)?;
        crate::demo::remove_data(&scene.demo, Role::Replica)?;
        make_demo(scene)?;
        Ok(Healed::Typed("rm -r DEMO/replica; make demo".to_owned()))
    }
}

fn database(scene: &Scene, name: &str) -> Result<postgres::Client, Error> {
    let mut config = scene.demo.target(Role::Replica).config();
    config.dbname(name).connect_timeout(Duration::from_secs(5));
    Ok(config.connect(postgres::NoTls)?)
}

/// The replica's password is changed on the primary, and the replica restarted by whoever does not know.
#[derive(Default)]
pub struct WrongPassword;

impl WrongPassword {
    /// The fault.
    pub fn fault() -> Box<dyn Fault> {
        Box::new(Self)
    }
}

/// Sets the password of the replication role, and says nothing of it to the log.
fn set_password(scene: &Scene, password: &str) -> Result<(), Error> {
    let settings = &scene.demo.settings;
    let mut session = scene.session(Role::Primary)?;
    session.batch_execute("SET log_statement = 'none'; SET log_min_duration_statement = -1")?;
    let query = "SELECT format('ALTER ROLE %I PASSWORD %L', $1::text, $2::text)";
    let row = session.query_one(query, &[&settings.replication_user, &password])?;
    session.batch_execute(row.try_get(0)?)?;
    Ok(())
}

impl Fault for WrongPassword {
    fn cause(&mut self, scene: &Scene) -> Result<String, Error> {
        let demo = scene.demo.clone();
        let (programs, program) =
            (Scene::new(demo.clone(), std::sync::Arc::default())?, demo.settings.replication_password);
        scene.later("the replica's password", move || set_password(&programs, &program));
        set_password(scene, "changed by somebody")?;
        // As a restart of the replica would: its connection ends, and a new one is asked for the password.
        let end = "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active_pid IS NOT NULL";
        scene.run(Role::Primary, &[end])?;
        Ok("the replication role got another password, and the replica had to connect again".to_owned())
    }

    fn heal(&mut self, scene: &Scene, _seen: &Finding) -> Result<Healed, Error> {
        set_password(scene, &scene.demo.settings.replication_password)?;
        Ok(Healed::Typed(format!("alter role {} password '..';", scene.demo.settings.replication_user)))
    }
}
