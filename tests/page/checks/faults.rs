//! Drills, seen on the page: the finding is there, and the drill is marked in every plot. How soon is measured where each drill runs alone.

use std::time::{Duration, Instant};

use operations_demo_checks::Running;
use operations_lab::checks::{Outcome, Stop, require, wait};
use operations_lab::drill::{DRILLS, Drill, Length};

use crate::pixels::without_flag;
use crate::viewer::Viewer;

/// From the cause until it is on the page, in milliseconds, on a machine that does nothing else.
const SEEN: u64 = 10_000;

/// How many seconds a fault is held: the page's doctor looks every 3 s, and some findings take two looks 5 s apart. Beside other tests all
/// of it takes longer.
const HOLD: u32 = 30;

/// Where no other test runs.
const HOLD_ALONE: u32 = 12;

/// What the page is told of a drill's last moment may be on its way.
const LATE: Duration = Duration::from_secs(5);

/// A drill looks whether all is well before it breaks anything, and counts all rows.
const BEGUN: Duration = Duration::from_secs(60);

pub fn paused_replay_is_seen(viewer: &Viewer) -> Outcome {
    is_seen(viewer, "replay-paused")
}

pub fn dropped_jobs_are_seen(viewer: &Viewer) -> Outcome {
    is_seen(viewer, "jobs-dropped")
}

pub fn a_killed_replica_is_seen(viewer: &Viewer) -> Outcome {
    is_seen(viewer, "replica-killed")?;
    let marks = viewer.browser.text("return document.getElementById('marks').innerText")?;
    require(marks.contains("server"), format!("no server is among what happened: {marks}"))
}

pub fn every_quick_drill_is_seen(viewer: &Viewer) -> Outcome {
    let mut wrong = Vec::new();
    let in_time = |after| require(after <= SEEN, format!("it was on the page {after} ms after its cause"));
    for drill in DRILLS.iter().filter(|drill| drill.length == Length::Quick) {
        match milliseconds_until_seen(viewer, drill.name, HOLD_ALONE).and_then(in_time) {
            Ok(()) => println!("        {}: seen and marked", drill.name),
            Err(Stop::Skipped(why)) => println!("        {}: SKIPPED: {why}", drill.name),
            Err(Stop::Failed(why)) => wrong.push(format!("{}: {why}", drill.name)),
        }
    }
    require(wrong.is_empty(), wrong.join("\n"))
}

fn is_seen(viewer: &Viewer, name: &str) -> Outcome {
    milliseconds_until_seen(viewer, name, HOLD).map(drop)
}

/// From the cause of a drill until its finding is on the page.
fn milliseconds_until_seen(viewer: &Viewer, name: &str, hold: u32) -> Outcome<u64> {
    let drill = DRILLS.iter().find(|drill| drill.name == name).ok_or("there is no such drill")?;
    viewer.has_verdict("ok", 30)?;
    let log = viewer.user.path("drill.log");
    let output = std::fs::File::create(&log)?;
    let mut make = viewer.user.make(&["drill", &format!("NAME={name}"), &format!("DRILL=--json --hold {hold}")]);
    let mut running = Running(make.stdout(output.try_clone()?).stderr(output).spawn()?);
    let seen = watch(viewer, drill, &mut running);
    let ended = running.0.wait()?;
    let said = std::fs::read_to_string(&log)?;
    if said.contains("\"refused\"") {
        return Err(Stop::Skipped(said));
    }
    require(ended.success(), format!("the drill failed: {said}"))?;
    let (begun, seen) = seen?;
    let after = seen.saturating_sub(begun + began_after(&said)?);
    let missing = || viewer.browser.text(&without_flag(begun, "mark-drill"));
    wait("a flag in every plot", Duration::from_secs(5), || {
        let missing = missing()?;
        require(missing.is_empty(), format!("none in {missing}"))
    })?;
    viewer.has_verdict("ok", 30)?;
    if name == STOPS_THE_PAGE {
        viewer.browser.forgive_refused_connections()?;
    }
    viewer.picture(&format!("drill_{name}"))?;
    Ok(after)
}

/// How many milliseconds after its mark the fault was there: some take their time to be caused.
fn began_after(said: &str) -> Outcome<u64> {
    let (from, to) =
        (said.find('{').ok_or("the drill gave no report")?, said.rfind('}').ok_or("its report has no end")?);
    let report: serde_json::Value = serde_json::from_str(&said[from..=to])?;
    let seconds = report["began_after"].as_f64().ok_or("its report does not say when the fault was there")?;
    Ok(u64::try_from(Duration::try_from_secs_f64(seconds)?.as_millis())?)
}

/// The drill that stops the demo stops the program that serves the page, too: then the page says that it is not connected.
const STOPS_THE_PAGE: &str = "stopped";

/// When the drill began, as it is marked, and when one of its findings was on the page.
fn watch(viewer: &Viewer, drill: &Drill, running: &mut Running) -> Outcome<(u64, u64)> {
    let codes: Vec<_> = drill.expects.iter().map(|(code, _)| format!("'{code}'")).collect();
    let script = format!(
        "const marks = [...document.querySelectorAll('#marks .mark')].filter((mark) => mark.innerText.includes('{}'));
        const codes = [...document.querySelectorAll('.finding .code')].map(({{ innerText }}) => innerText);
        const begun = Math.max(0, ...marks.map((mark) => Date.parse(mark.querySelector('time').dateTime)));
        const isLost = {} && !document.getElementById('lost').hidden;
        return [begun, isLost || codes.some((code) => [{}].includes(code)), Date.now()]",
        drill.name,
        drill.name == STOPS_THE_PAGE,
        codes.join(",")
    );
    let asked_since = viewer.browser.ask("return Date.now()")?.as_u64().ok_or("no time")?;
    let mut seen = None;
    let mut ended: Option<Instant> = None;
    wait(&format!("{} on the page", codes.join(" or ")), BEGUN, || {
        let shown = viewer.browser.ask(&script)?;
        let begun = shown[0].as_u64().filter(|begun| *begun + 1000 >= asked_since);
        if shown[1] == true && seen.is_none() {
            seen = shown[2].as_u64();
        }
        match (begun, seen) {
            (Some(begun), Some(seen)) => return Ok(Ok((begun, seen))),
            _ if ended.is_some_and(|ended| ended.elapsed() > LATE) => {
                return Ok(Err(Stop::Failed(format!("the drill is over; the page has {shown}"))));
            }
            _ if ended.is_none() && running.0.try_wait().is_ok_and(|ended| ended.is_some()) => {
                ended = Some(Instant::now())
            }
            _ => {}
        }
        Err(Stop::Failed(format!("the page has {shown}")))
    })?
}
