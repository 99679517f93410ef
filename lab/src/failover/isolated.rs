//! An old primary, opened so that it can be read and can do nothing else.

use postgres::Config;

use crate::demo::{Demo, Programs, folders};
use crate::error::{Context, Error};
use crate::role::Role;

impl Demo {
    /// Starts it as a replica of nobody: no session can write, no job runs, and only the owner reaches its socket.
    /// It replays the WAL of its own timeline, whatever newer ones it knows.
    pub(super) fn start_isolated(&self, programs: &Programs, timeline: u32) -> Result<(), Error> {
        let folder = self.isolated();
        folders::remove(&folder, &self.layout.owner)?;
        let made = self.layout.owner.files(|| {
            use std::os::unix::fs::DirBuilderExt;
            std::fs::DirBuilder::new().mode(0o700).create(&folder)
        });
        made.context(|| format!("make {}", folder.display()))?;
        let settings = [
            "listen_addresses=".to_owned(),
            format!("unix_socket_directories={}", folder.display()),
            "primary_conninfo=".to_owned(),
            "primary_slot_name=".to_owned(),
            format!("recovery_target_timeline={timeline}"),
            "hot_standby=on".to_owned(),
            "recovery_min_apply_delay=0".to_owned(),
        ];
        self.start_server(programs, Role::Replica, &self.layout.data(Role::Replica), &settings)
    }

    /// How to connect to it.
    pub(super) fn isolated_config(&self) -> Config {
        let mut config = Config::new();
        config
            .host_path(self.isolated())
            .port(self.port(Role::Replica))
            .user(&self.settings.user)
            .password(&self.settings.password)
            .dbname(&self.settings.database);
        crate::connect::guarded(config, "")
    }

    fn isolated(&self) -> std::path::PathBuf {
        self.layout.folder.join("run.alone")
    }
}
