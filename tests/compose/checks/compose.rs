//! Calls of `docker compose`, with files over compose.yaml and settings in the environment.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use operations_lab::checks::Outcome;

use crate::demo::Demo;
use crate::programs::{Finished, finish};

/// Beyond what any call may take: a first build of the image.
const LIMIT: Duration = Duration::from_secs(1_800);

/// `docker compose` to be called: with these files, settings and no others.
pub struct Compose<'a> {
    demo: &'a Demo,
    files: Vec<PathBuf>,
    settings: Vec<(&'static str, String)>,
}

impl<'a> Compose<'a> {
    pub fn new(demo: &'a Demo, file: &Path) -> Self {
        Self { demo, files: vec![file.to_owned()], settings: Vec::new() }
    }

    /// Another compose.yaml instead of the checkout's.
    pub fn instead_of_the_checkout(mut self, file: &Path) -> Self {
        self.files = vec![file.to_owned()];
        self
    }

    /// One more file over those before.
    pub fn file(mut self, file: impl Into<PathBuf>) -> Self {
        self.files.push(file.into());
        self
    }

    /// Sets a variable of the environment.
    pub fn env(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.settings.push((name, value.into()));
        self
    }

    /// As a user starts the demo, with a limit; it must come up. The image is there, so without `--build`: see `Demo::build`.
    pub fn up(&self, arguments: &[&str]) -> Outcome {
        self.try_up(arguments)?.output()?;
        Ok(())
    }

    /// The same where it may fail.
    pub fn try_up(&self, arguments: &[&str]) -> Outcome<Finished> {
        let up = ["up", "--wait", "--wait-timeout", "600"];
        self.try_run(&[&up, arguments].concat())
    }

    /// `docker compose` with these arguments, which must succeed; what it prints on standard output.
    pub fn run(&self, arguments: &[&str]) -> Outcome<String> {
        self.try_run(arguments)?.output()
    }

    /// The same where it may fail.
    pub fn try_run(&self, arguments: &[&str]) -> Outcome<Finished> {
        let finished = finish(self.command(arguments), LIMIT)?;
        self.demo.note(&finished.text());
        Ok(finished)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.demo.engine.command();
        // Not the file .env that somebody may have beside compose.yaml.
        command.args(["compose", "--env-file", "/dev/null", "--progress", "plain"]);
        for file in &self.files {
            command.arg("--file").arg(file);
        }
        command.envs(self.settings.iter().map(|(name, value)| (name, value))).args(arguments);
        command
    }
}
