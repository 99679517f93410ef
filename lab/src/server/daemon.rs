//! A process that lives in a folder and has written its process id into a file there.

use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use crate::error::{Context, Error};
use crate::server::process::{Process, all_of_user, descendants, held_descendants, is_alive, wait_gone};
use crate::server::{Owner, make_anew};

/// Such a process: the folder, the file's name, and whose it is.
#[derive(Clone, Debug)]
pub struct Daemon {
    folder: PathBuf,
    file: &'static str,
    owner: Owner,
}

impl Daemon {
    /// The process of a folder, which need not run.
    #[must_use]
    pub fn new(folder: &Path, file: &'static str, owner: &Owner) -> Self {
        Self { folder: folder.to_owned(), file, owner: owner.clone() }
    }

    /// The process id in the file, whether that process runs or not.
    #[must_use]
    pub fn recorded_pid(&self) -> Option<u32> {
        self.recorded_line(0)?.trim().parse().ok()
    }

    /// A line of the file.
    pub(crate) fn recorded_line(&self, number: usize) -> Option<String> {
        Some(self.owner.read(&self.folder.join(self.file)).ok()?.lines().nth(number)?.to_owned())
    }

    /// The process id, if it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.running().map(|running| running.pid())
    }

    /// Begins a command of this program in the folder, as the owner, with nothing of the caller's environment; returns it and the
    /// file with what it says. `demo` is the folder of the demo that it is told of.
    pub(crate) fn begin(
        &self,
        arguments: &[impl AsRef<OsStr>],
        demo: Option<&Path>,
    ) -> Result<(Child, PathBuf), Error> {
        let log = self.folder.join("log");
        let opened = self.owner.files(|| {
            // Nothing that somebody put there is opened, nor waited for.
            let log = make_anew(&log, 0o600)?;
            Ok((log.try_clone()?, log))
        });
        let (stdout, stderr) = opened.context(|| format!("open {}", log.display()))?;
        // The user may not be able to reach this program's file by its name.
        let mut command = Command::new("/proc/self/exe");
        command.args(arguments);
        // In a container it finds the servers as this process does.
        if let Some(demo) = demo {
            command.arg("--demo").arg(demo).env_clear();
        }
        self.owner.runs(&mut command).current_dir(&self.folder).stdin(Stdio::null()).stdout(stdout).stderr(stderr);
        let child = command.spawn().context(|| format!("start the process of {}", self.folder.display()))?;
        Ok((child, log))
    }

    /// Sends it a signal; returns it and the processes below it, or nothing if it does not run.
    pub fn signal(&self, signal: Signal) -> Result<Vec<u32>, Error> {
        let Some(running) = self.running() else {
            return Ok(Vec::new());
        };
        let mut pids = descendants(running.pid());
        pids.insert(0, running.pid());
        running.signal(signal).map(|()| pids)
    }

    /// Sends it a signal and waits until it, and all below it, are gone. Whether there was one.
    pub fn end(&self, how: Signal, limit: Duration) -> Result<bool, Error> {
        let pids = self.signal(how)?;
        wait_gone(&format!("the process of {} to end", self.folder.display()), &pids, limit)?;
        Ok(!pids.is_empty())
    }

    /// The owner's processes below it that live now.
    pub(crate) fn children(&self) -> Vec<Process> {
        self.pid().map(|pid| held_descendants(pid, self.owner.uid())).unwrap_or_default()
    }

    /// The owner's processes of a program that work in the folder, whose parent may be gone.
    pub(crate) fn all_of(&self, program: &str) -> Vec<Process> {
        let is_one = |process: &Process| {
            let link = |name: &str| format!("/proc/{}/{name}", process.pid());
            let exe = std::fs::read_link(link("exe"));
            exe.is_ok_and(|exe| exe.file_name().is_some_and(|name| name == program))
                && same_file(Path::new(&link("cwd")), &self.folder)
        };
        all_of_user(self.owner.uid()).filter(is_one).collect()
    }

    /// The process that the file names may be another one: after a restart of the machine, or because the owner wrote it
    /// there. Ours belongs to the owner and works in the folder.
    fn running(&self) -> Option<Process> {
        let process = Process::of_user(self.recorded_pid()?, self.owner.uid())?;
        let works_here = same_file(Path::new(&format!("/proc/{}/cwd", process.pid())), &self.folder);
        (works_here && is_alive(process.pid())).then_some(process)
    }
}

/// Whether both names lead to the same file or folder.
fn same_file(one: &Path, other: &Path) -> bool {
    let identity = |path: &Path| std::fs::metadata(path).map(|found| (found.dev(), found.ino()));
    matches!((identity(one), identity(other)), (Ok(one), Ok(other)) if one == other)
}
