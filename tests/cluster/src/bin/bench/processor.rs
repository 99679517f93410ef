//! Processor time of a server, all its processes together: what else the machine does shows less in it than in the clock.

use std::path::PathBuf;

use operations_cluster::{Error, Server};

/// The processes of a server.
#[derive(Clone, Debug)]
pub struct Processor {
    postmaster: PathBuf,
    children: PathBuf,
}

impl Processor {
    /// Finds the server's main process.
    pub fn of(server: &Server) -> Result<Self, Error> {
        let file = server.data().join("postmaster.pid");
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let number: u32 = text
            .lines()
            .next()
            .and_then(|line| line.trim().parse().ok())
            .ok_or_else(|| Error::Environment(format!("{} does not say which process runs", file.display())))?;
        let postmaster = PathBuf::from(format!("/proc/{number}"));
        Ok(Self { children: postmaster.join(format!("task/{number}/children")), postmaster })
    }

    /// What the processes have used so far, in milliseconds: those that live, and those that have ended.
    pub fn milliseconds(&self) -> Result<f64, Error> {
        let children = read(&self.children)?;
        let live = milliseconds_of(children.split_whitespace());
        // Fields 16 and 17, of which the second of all, a name in parentheses, may hold blanks. Linux counts 100 ticks a second.
        let status = read(&self.postmaster.join("stat"))?;
        let fields = status.rsplit_once(')').map_or("", |(_, fields)| fields);
        let ticks: f64 = [13, 14].into_iter().filter_map(|field| number(fields, field)).sum();
        Ok(live + ticks * 10.0)
    }
}

/// What these processes have used so far, in milliseconds. One that has ended is in the sum of its parent.
pub fn milliseconds_of(processes: impl IntoIterator<Item = impl std::fmt::Display>) -> f64 {
    let used = |process| std::fs::read_to_string(format!("/proc/{process}/schedstat")).ok();
    processes.into_iter().filter_map(used).filter_map(|text| number(&text, 0)).sum::<f64>() / 1e6
}

fn read(path: &PathBuf) -> Result<String, Error> {
    std::fs::read_to_string(path)
        .map_err(|error| Error::Environment(format!("cannot read {}: {error}", path.display())))
}

fn number(text: &str, place: usize) -> Option<f64> {
    text.split_whitespace().nth(place)?.parse().ok()
}
