//! A server whose clock is wrong: libfaketime gives it another one.

use std::path::{Path, PathBuf};

use crate::doctor::Finding;
use crate::drill::fault::{Fault, Healed, make_demo};
use crate::drill::scene::Scene;
use crate::error::Error;
use crate::role::Role;
use crate::server::{LIMIT, Stop};

/// Restarts the replica with a clock that is an hour ahead.
#[derive(Default)]
pub struct ClockJump;

impl ClockJump {
    /// The fault.
    pub fn fault() -> Box<dyn Fault> {
        Box::new(Self)
    }

    /// Why it cannot be done here.
    pub fn refuses(_scene: &Scene) -> Option<String> {
        faketime().is_none().then(|| "libfaketime is not installed (Debian: apt-get install libfaketime)".to_owned())
    }
}

/// Where the library is on Debian and its like.
pub fn faketime() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path());
    folders
        .chain([Path::new("/usr/lib").to_owned(), Path::new("/usr/local/lib").to_owned()])
        .map(|folder| folder.join("faketime/libfaketime.so.1"))
        .find(|library| library.exists())
}

impl Fault for ClockJump {
    fn cause(&mut self, scene: &Scene) -> Result<String, Error> {
        let library = faketime().ok_or_else(|| Error::Environment("libfaketime is gone".to_owned()))?;
        let library = library.to_string_lossy().into_owned();
        let data = scene.data(Role::Replica);
        let again = Scene::new(scene.demo.clone(), std::sync::Arc::default(), scene.pace)?;
        scene.later("the replica's clock", move || match is_ahead(&again) {
            true => restart(&again),
            false => Ok(()),
        });
        data.stop(Stop::Fast, LIMIT)?;
        let clock = [("LD_PRELOAD", library.as_str()), ("FAKETIME", "+1h"), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")];
        let scheduler = scene.programs.scheduler(&scene.demo.settings.database)?;
        crate::demo::start_server(&scene.demo, &scene.programs, Role::Replica, &data, &scheduler.settings, &clock)?;
        Ok("the replica was restarted with a clock that is an hour ahead".to_owned())
    }

    fn heal(&mut self, scene: &Scene, _seen: &Finding) -> Result<Healed, Error> {
        restart(scene)?;
        Ok(Healed::Typed("(the replica was restarted with the right clock)".to_owned()))
    }
}

fn restart(scene: &Scene) -> Result<(), Error> {
    scene.data(Role::Replica).stop(Stop::Fast, LIMIT)?;
    make_demo(scene).map(drop)
}

fn is_ahead(scene: &Scene) -> bool {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let there = scene.ask(Role::Replica, "SELECT extract(epoch FROM clock_timestamp())");
    !there.is_ok_and(|there| there.parse::<f64>().is_ok_and(|there| there < now + 60.0))
}
