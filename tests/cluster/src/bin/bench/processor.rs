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
        // One may end meanwhile; then it is in the sum below.
        let live = |child: &str| std::fs::read_to_string(format!("/proc/{child}/schedstat")).ok();
        let nanoseconds: f64 = children.split_whitespace().filter_map(live).filter_map(|text| number(&text, 0)).sum();
        // Fields 16 and 17, of which the second of all, a name in parentheses, may hold blanks. Linux counts 100 ticks a second.
        let status = read(&self.postmaster.join("stat"))?;
        let fields = status.rsplit_once(')').map_or("", |(_, fields)| fields);
        let ticks: f64 = [13, 14].into_iter().filter_map(|field| number(fields, field)).sum();
        Ok(nanoseconds / 1e6 + ticks * 10.0)
    }
}

fn read(path: &PathBuf) -> Result<String, Error> {
    std::fs::read_to_string(path)
        .map_err(|error| Error::Environment(format!("cannot read {}: {error}", path.display())))
}

fn number(text: &str, place: usize) -> Option<f64> {
    text.split_whitespace().nth(place)?.parse().ok()
}
