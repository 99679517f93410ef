//! Runs one drill: breaks, watches, heals, watches, compares.

use std::time::{Duration, Instant};

use crate::doctor::{self, Finding};
use crate::drill::contents::Contents;
use crate::drill::fault::{Drill, Fault, Healed};
use crate::drill::probe::Probes;
use crate::drill::report::{Report, Verdict, seconds};
use crate::drill::scene::{NOT_UNDONE, Scene};
use crate::error::{DrillError, Error};
use crate::marks;
use crate::receipt;
use crate::role::Role;

/// How long a demo may take until it is well: before a drill, and once more after one.
const WELL: Duration = Duration::from_secs(20);

/// How long writes may take to go on once the verdict is ok.
const WRITES: Duration = Duration::from_secs(5);

/// Why most drills cannot be run from a container.
const NEEDS_HOST: &str = "it acts on processes, files or networks of other containers: docs/drills.md (In Compose) says what to type on Docker's host";

/// Runs a drill. An error is one that kept it from being run, or an interrupt; in both cases the demo is as it was,
/// or the error says what is not.
pub fn run(scene: &Scene, drill: &Drill) -> Result<Report, Error> {
    let mut report = Report::of(drill, scene.pace);
    let in_containers = scene.demo.layout.in_containers;
    let needs_host = (in_containers && !drill.over_sql).then(|| NEEDS_HOST.to_owned());
    let replicas = scene.demo.layout.replicas();
    let needs_one = (!in_containers && replicas > 1 && (drill.may_lose || !drill.over_sql))
        .then(|| format!("it is for a demo of one replica, and this one has {replicas}: make demo REPLICAS=1"));
    if let Some(why) = needs_host.or(needs_one).or_else(|| (drill.refuses)(scene)) {
        report.verdict = Verdict::Refused;
        report.reasons.push(why);
        return Ok(report);
    }
    let before = well(scene)?;
    let ended = drive(scene, drill, &before, &mut report);
    report.reasons.extend(scene.undo());
    let restored = restore(scene);
    if matches!(ended, Err(Error::Drill(DrillError::Interrupted))) {
        // What a drill could not undo in its course is among the reasons.
        let mut left: Vec<_> = report.reasons.into_iter().filter(|reason| reason.starts_with(NOT_UNDONE)).collect();
        left.extend(restored.err().map(|error| format!("the demo could not be healed: {error}")));
        return Err(if left.is_empty() {
            DrillError::Interrupted.into()
        } else {
            DrillError::InterruptedUnmended { left }.into()
        });
    }
    report.reasons.extend(ended.err().map(|error| error.to_string()));
    match restored {
        Ok(restored) => report.reasons.extend(restored),
        Err(error) => report.reasons.push(format!("the demo could not be healed: {error}")),
    }
    if report.reasons.is_empty() {
        report.verdict = Verdict::Passed;
    }
    Ok(report)
}

/// The doctor's report of a demo that is well. One that was started, or healed, a moment ago may not be yet.
fn well(scene: &Scene) -> Result<doctor::Report, Error> {
    let begun = Instant::now();
    loop {
        scene.go_on()?;
        let report = scene.look();
        if report.verdict == doctor::Verdict::Ok {
            return Ok(report);
        }
        if !scene.demo.is_running(Role::Primary) || begun.elapsed() > scene.pace.allows(WELL) {
            return Err(DrillError::Unwell { report: report.text() }.into());
        }
    }
}

/// Leaves a demo that is well. What was needed beyond the drill's own healing is a failure of the drill, and is returned.
fn restore(scene: &Scene) -> Result<Option<String>, Error> {
    let begun = Instant::now();
    let mut last = scene.look();
    while last.verdict != doctor::Verdict::Ok && begun.elapsed() < scene.pace.allows(WELL) {
        last = scene.look();
        if !scene.now().is_running(Role::Primary) || !scene.now().is_running(Role::Replica) {
            break;
        }
    }
    if last.verdict == doctor::Verdict::Ok {
        return Ok(None);
    }
    if scene.demo.layout.in_containers {
        // Who starts containers is not here.
        return Err(DrillError::Unwell { report: last.text() }.into());
    }
    scene.make("demo", &[])?;
    let begun = Instant::now();
    loop {
        let report = scene.look();
        if report.verdict == doctor::Verdict::Ok {
            break;
        }
        if begun.elapsed() > scene.pace.allows(2 * WELL) {
            return Err(DrillError::Unwell { report: report.text() }.into());
        }
    }
    Ok(Some(format!("the demo was left unwell ({}), and make demo mended it", last.headline())))
}

fn drive(scene: &Scene, drill: &Drill, before: &doctor::Report, report: &mut Report) -> Result<(), Error> {
    let mut fault = (drill.fault)();
    fault.prepare(scene)?;
    let contents = Contents::read(scene, Role::Primary, None)?;
    receipt::start(&scene.demo)?;
    let mark = receipt::mark(&scene.demo)?;
    let broken = break_and_heal(scene, drill, before, report, fault.as_mut());
    // Whatever came of it, what was written counts.
    let counted = broken.and_then(|()| {
        let healed = receipt::mark(&scene.now())?;
        scene.wait("writes to go on", WRITES, || match receipt::since(&scene.now(), &healed) {
            Ok(since) if since.acknowledged > 0 => Ok(()),
            Ok(_) => Err("no write was acknowledged since".to_owned()),
            Err(error) => Err(error.to_string()),
        })
    });
    if let Ok(since) = receipt::since(&scene.now(), &mark) {
        if !fault.stops_the_client() {
            report.could_not_write_for = Some(seconds(Duration::from_millis(since.longest_gap_ms)));
        }
        report.acknowledged = since.acknowledged;
    }
    counted?;
    report.reasons.extend(fault.check(scene)?);
    report.reasons.extend(scene.undo());
    if scene.now().settings != scene.demo.settings {
        report.reasons.push("the demo's settings are not what they were".to_owned());
    }
    let since = receipt::since(&scene.now(), &mark)?;
    report.lost = Some(since.lost);
    if since.lost > 0 && !drill.may_lose {
        report.reasons.push(format!("{} acknowledged writes are gone", since.lost));
    }
    if since.unexpected > 0 {
        report.reasons.push(format!("{} writes are there that were never sent, or were refused", since.unexpected));
    }
    let changed = contents.compare(scene)?;
    // What the replica had not received is lost with the primary, and the receipt says how much that is.
    if !(drill.may_lose && since.lost > 0) {
        report.reasons.extend(changed);
    }
    Ok(())
}

/// Returns when the verdict is ok again.
fn break_and_heal(
    scene: &Scene,
    drill: &Drill,
    before: &doctor::Report,
    report: &mut Report,
    fault: &mut dyn Fault,
) -> Result<(), Error> {
    scene.go_on()?;
    let caused = Instant::now();
    let _noted = marks::Open::begin(&scene.demo.layout, "drill", drill.name);
    report.happened = fault.cause(scene)?;
    let noted = caused;
    let caused = fault.began().unwrap_or(caused);
    report.began_after = seconds(caused.duration_since(noted));
    let seen = if drill.expects.is_empty() {
        // Nothing is to be found; the fault itself sees to it.
        Finding::new("", doctor::Severity::Info, "", "", "")
    } else {
        let seen = see(scene, drill, before, caused, report)?;
        report.probes = Some(Probes::take(scene));
        seen
    };
    while caused.elapsed() < fault.lasts().max(scene.pace.hold) {
        scene.go_on()?;
        std::thread::sleep(Duration::from_millis(100));
    }
    scene.go_on()?;
    let (mut began, within) = (Instant::now(), scene.pace.allows(drill.green_within));
    match fault.heal(scene, &seen)? {
        Healed::ByItself => began = caused,
        Healed::Typed(command) => report.healed_by = Some(command),
    }
    loop {
        scene.go_on()?;
        let now = scene.look();
        let elapsed = began.elapsed();
        if now.verdict == doctor::Verdict::Ok && elapsed <= within {
            report.healed_after = Some(seconds(elapsed));
            return Ok(());
        }
        if elapsed > within {
            return Err(DrillError::NotHealed { within, report: now.text() }.into());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Looks until the right finding comes that was not there before.
fn see(
    scene: &Scene,
    drill: &Drill,
    before: &doctor::Report,
    caused: Instant,
    report: &mut Report,
) -> Result<Finding, Error> {
    let within = scene.pace.allows(drill.seen_within);
    loop {
        scene.go_on()?;
        // No drill waits for a finding of the sums.
        let now = scene.look_without_sums();
        let elapsed = caused.elapsed();
        let found =
            now.findings.iter().find(|finding| drill.is_right(scene, finding) && !before.findings.contains(finding));
        if let Some(finding) = found.filter(|_| elapsed <= within) {
            report.seen_after = Some(seconds(elapsed));
            report.doctor = now.headline();
            report.finding = Some(finding.clone());
            if !doctor::can_be_typed(&finding.next_command) {
                report.reasons.push(format!("its next command cannot be typed: {}", finding.next_command));
            }
            return Ok(finding.clone());
        }
        if elapsed > within {
            report.doctor = now.headline();
            return Err(DrillError::NotSeen { within, report: now.text() }.into());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
