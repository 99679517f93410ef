//! The native demo: where its servers are.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::error::{Context, Error};
use crate::target::{Role, Target};

/// The folder that `make demo` keeps.
#[derive(Clone, Debug)]
pub struct Demo {
    folder: PathBuf,
    settings: HashMap<String, String>,
}

impl Demo {
    /// The demo in a folder; `None` if none was ever started there.
    pub fn open(folder: &Path) -> Result<Option<Self>, Error> {
        let path = folder.join("settings");
        // The server's user may put another kind of file there, whose reading would never end.
        let is_file = std::fs::symlink_metadata(&path).map(|found| found.is_file());
        let text = match is_file
            .and_then(|is_file| if is_file { std::fs::read_to_string(&path) } else { Ok(String::new()) })
        {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).context(|| format!("read {}", path.display())),
        };
        let settings = text.lines().filter_map(|line| line.split_once('='));
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Ok(Some(Self { folder: folder.to_owned(), settings }))
    }

    /// Its two servers.
    #[must_use]
    pub fn servers(&self) -> Vec<Target> {
        let password = self.setting("POSTGRES_PASSWORD", "postgres");
        let (user, database) =
            (self.setting("POSTGRES_USER", "postgres"), self.setting("POSTGRES_DB", "operations_db"));
        [(Role::Primary, "PRIMARY_PORT", 5432), (Role::Replica, "REPLICA_PORT", 5433)]
            .map(|(role, name, usual)| {
                let port = self.setting(name, "").parse().unwrap_or(usual);
                Target::local(role, port, user, database, password)
            })
            .into()
    }

    /// Whether no server of it runs, nor died without a farewell: each removes its `postmaster.pid` when it is stopped.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        ["primary", "replica"].iter().all(|name| !self.folder.join(name).join("postmaster.pid").exists())
    }

    fn setting<'a>(&'a self, name: &str, usual: &'a str) -> &'a str {
        self.settings.get(name).map_or(usual, String::as_str)
    }
}
