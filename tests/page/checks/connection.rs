//! The program that serves the page hangs, or is gone: the page says so, and comes back by itself.

use std::time::Duration;

use operations_lab::checks::{Outcome, require};
use rustix::process::{Pid, Signal, kill_process};

use crate::viewer::Viewer;

/// A program that hangs is one from which nothing comes; samples come every two seconds.
const HUNG: Duration = Duration::from_secs(8);

/// A connection that breaks is known at once.
const GONE: Duration = Duration::from_secs(2);

const BACK: Duration = Duration::from_secs(15);

const SAID: &str = "return document.getElementById('lost').innerText";

pub fn a_hung_program_is_said_and_comes_back(viewer: &Viewer) -> Outcome {
    let program = program(viewer)?;
    kill_process(program, Signal::STOP)?;
    let said = is_said(viewer, HUNG);
    kill_process(program, Signal::CONT)?;
    said?;
    is_back(viewer)
}

/// The hour that the page has seen outlives the program.
pub fn a_killed_program_is_said_and_comes_back(viewer: &Viewer) -> Outcome {
    let samples = || viewer.browser.ask("return Number(document.getElementById('plots').dataset.samples)");
    let before = samples()?.as_u64().ok_or("no samples")?;
    kill_process(program(viewer)?, Signal::KILL)?;
    is_said(viewer, GONE)?;
    viewer.picture("not_connected")?;
    viewer.user.succeeds(&["demo"])?;
    is_back(viewer)?;
    let after = samples()?.as_u64().ok_or("no samples")?;
    require(after >= before, format!("{before} samples before, {after} after"))?;
    viewer.browser.forgive_refused_connections()
}

fn program(viewer: &Viewer) -> Outcome<Pid> {
    let file = viewer.user.demo("serve").join("pid");
    let text = std::fs::read_to_string(&file)?;
    let number = text.split_whitespace().next().unwrap_or_default().parse()?;
    Ok(Pid::from_raw(number).ok_or(format!("no process id in {}: {text}", file.display()))?)
}

fn is_said(viewer: &Viewer, limit: Duration) -> Outcome {
    let condition = "const lost = document.getElementById('lost');
        return !lost.hidden && lost.innerText.startsWith('Not connected since ') && document.body.classList.contains('old')";
    viewer.browser.waits("the page to say that it is not connected", limit, condition, SAID)
}

fn is_back(viewer: &Viewer) -> Outcome {
    let condition = "return document.getElementById('lost').hidden && document.getElementById('connection').dataset.state === 'live'";
    viewer.browser.waits("the page to be connected", BACK, condition, SAID)?;
    viewer.has_verdict("ok", 20)?;
    require(viewer.browser.ask("return window.isTheFirst")? == true, "the page was loaded anew")
}
