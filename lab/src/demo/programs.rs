//! The programs of the PostgreSQL that runs the demo, and who runs the jobs on it.

use std::path::Path;
use std::process::Command;

use crate::demo::layout::Layout;
use crate::demo::settings::DEFAULTS;
use crate::error::Error;
use crate::server::{clean, finish};
use crate::tools::{self, Postgres, Wanted};

/// The oldest pg_cron that knows seconds.
const OLDEST_PG_CRON: (u32, u32) = (1, 5);

/// The programs of a PostgreSQL.
#[derive(Clone, Debug)]
pub struct Programs {
    postgres: Postgres,
    variables: Vec<(String, String)>,
}

/// Who runs the jobs, as settings of the server.
#[derive(Clone, Debug)]
pub struct Scheduler {
    /// Settings, each `name=value`.
    pub settings: Vec<String>,
    /// What the user should know of the choice.
    pub remark: Option<String>,
}

impl Programs {
    /// Those of a demo that was made before; nothing is installed for the sake of stopping or looking.
    #[must_use]
    pub fn found(layout: &Layout) -> Option<Self> {
        if layout.in_containers {
            return Self::installed().ok();
        }
        Postgres::found(&layout.state).map(|postgres| Self { postgres, variables: Vec::new() })
    }

    /// Those that are in the PATH, as in the demo's image.
    pub(crate) fn installed() -> Result<Self, Error> {
        let config =
            tools::which("pg_config").ok_or_else(|| Error::Environment("pg_config is not in PATH".to_owned()))?;
        let bindir = tools::which("postgres").and_then(|postgres| Some(postgres.parent()?.to_owned()));
        let bindir = bindir.ok_or_else(|| Error::Environment("postgres is not in PATH".to_owned()))?;
        Ok(Self { postgres: Postgres { config, bindir }, variables: Vec::new() })
    }

    /// Finds or makes all tools; with the extension if asked to, which is built and installed where it is not there.
    pub fn make(layout: &Layout, extension: bool) -> Result<Self, Error> {
        let wanted = Wanted::given(&layout.state)?;
        let postgres = Postgres::need_for(&layout.state, wanted)?;
        if extension {
            tools::need_extension(&layout.state, &postgres, wanted)?;
        }
        Ok(Self { postgres, variables: Vec::new() })
    }

    /// The folder of `postgres`, `initdb`, `psql` and the others.
    #[must_use]
    pub fn bindir(&self) -> &Path {
        &self.postgres.bindir
    }

    /// One of the programs, ready to run. Passwords of the caller's environment reach it only if they are set again.
    #[must_use]
    pub fn command(&self, name: &str) -> Command {
        self.ready(Command::new(self.bindir().join(name)))
    }

    /// The same programs with more in their environment.
    #[must_use]
    pub(crate) fn with(&self, variables: &[(&str, &str)]) -> Self {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { variables, ..self.clone() }
    }

    /// The same for another program, which finds these in its `PATH`.
    #[must_use]
    pub fn ready(&self, mut command: Command) -> Command {
        clean(&mut command);
        for (name, _) in DEFAULTS {
            command.env_remove(name).env_remove(format!("{name}_FILE"));
        }
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", self.bindir().display()));
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Who runs the jobs of a database: pg_cron if the server has it, else the extension's own worker.
    pub fn scheduler(&self, database: &str) -> Result<Scheduler, Error> {
        let mut asked = Command::new(&self.postgres.config);
        asked.arg("--sharedir");
        let share = finish(asked)?.success()?;
        let control = Path::new(share.trim_end()).join("extension/pg_cron.control");
        let pg_cron = std::fs::read_to_string(control).ok().and_then(|text| default_version(&text));
        Ok(scheduler(pg_cron.as_deref(), database))
    }
}

fn scheduler(pg_cron: Option<&str>, database: &str) -> Scheduler {
    let setting = |libraries: &str, name: &str| {
        vec![format!("shared_preload_libraries={libraries}"), format!("{name}={database}")]
    };
    match pg_cron {
        Some(version) if major_minor(version) >= OLDEST_PG_CRON => {
            Scheduler { settings: setting("pg_cron,operations_ext", "cron.database_name"), remark: None }
        }
        found => Scheduler {
            settings: setting("operations_ext", "operations_ext.database"),
            remark: found.map(|version| {
                format!(
                    "This server's pg_cron {version} is too old (1.5 knows seconds), so the extension's own worker runs the jobs"
                )
            }),
        },
    }
}

fn default_version(control: &str) -> Option<String> {
    control.lines().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        (name.trim() == "default_version").then(|| value.trim().trim_matches('\'').to_owned())
    })
}

fn major_minor(version: &str) -> (u32, u32) {
    let mut parts = version.split(['.', '-']).map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_pg_cron_is_left_alone_and_said() {
        let control = "comment = 'Job scheduler'\ndefault_version = '1.4-1'\n";
        assert_eq!(default_version(control).as_deref(), Some("1.4-1"));
        let old = scheduler(Some("1.4-1"), "db");
        assert_eq!(old.settings, ["shared_preload_libraries=operations_ext", "operations_ext.database=db"]);
        assert!(old.remark.is_some_and(|remark| remark.contains("pg_cron 1.4-1 is too old")));
        for new in ["1.5", "1.6", "1.10", "2.0"] {
            let new = scheduler(Some(new), "db");
            assert_eq!(new.settings, ["shared_preload_libraries=pg_cron,operations_ext", "cron.database_name=db"]);
        }
        assert!(scheduler(None, "db").remark.is_none());
    }
}
