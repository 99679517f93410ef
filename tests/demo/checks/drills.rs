//! The drills, as a user runs them: each fault is seen and healed, nothing is lost, and the demo is well afterwards.

use std::os::unix::process::CommandExt;
use std::time::{Duration, Instant};

use operations_lab::drill::DRILLS;
use rustix::process::{Pid, Signal, kill_process_group};

use crate::user::{Outcome, Running, Stop, User, require};

fn is_well(user: &User) -> Outcome {
    user.becomes("0", 30, || {
        let well = user.run(user.make(&["doctor"]))?;
        Ok(if well { "0".to_owned() } else { user.output() })
    })
}

pub fn drills_are_listed(user: &User) -> Outcome {
    user.succeeds(&["drill"])?;
    for drill in DRILLS {
        user.printed(drill.line)?;
    }
    user.fails(&["drill", "NAME=nonsense"])?;
    user.printed("error: there is no drill \"nonsense\": make drill, or operations-lab drill --list, names all")?;
    user.fails(&["drill", "NAME=replay-pausd"])?;
    user.printed("(did you mean replay-paused?)")?;
    user.fails(&["drill", "replay-paused"])?;
    user.printed("error: make drill takes NAME=: make drill NAME=replay-paused")?;
    user.not_printed("jobs-dropped")?;
    user.succeeds(&["drill", "DRILL=--list"])?;
    user.printed("jobs-dropped")?;
    user.succeeds(&["drill", "DRILL=--json"])?;
    user.printed("\"name\": \"jobs-dropped\"")
}

pub fn drill_is_refused_by_an_unwell_demo(user: &User) -> Outcome {
    user.on_primary("CALL operations_unschedule();")?;
    let began = Instant::now();
    user.fails(&["drill", "NAME=replay-paused"])?;
    user.printed("error: the demo is not well, so no drill is begun; the doctor says:")?;
    user.printed("broken: job_missing")?;
    require(began.elapsed() < Duration::from_secs(60), format!("it took {:?}", began.elapsed()))?;
    let paused = user.on_replica("SELECT pg_is_wal_replay_paused();")?;
    require(paused == "f", "replay was paused all the same")?;
    user.on_primary("CALL operations_schedule();")?;
    is_well(user)
}

pub fn interrupted_drill_heals(user: &User) -> Outcome {
    let log = user.path("drill.log");
    let output = std::fs::File::create(&log)?;
    let mut make = user.make(&["drill", "NAME=replay-delayed", "DRILL=--hold 600"]);
    make.process_group(0).stderr(output.try_clone()?).stdout(output);
    let mut drill = Running(make.spawn()?);
    let delay = "SELECT current_setting('recovery_min_apply_delay');";
    user.becomes("10min", 60, || user.on_replica(delay))?;
    require(drill.0.try_wait()?.is_none(), "it has ended already")?;
    for target in ["stop", "clean"] {
        user.fails(&[target])?;
        user.printed(
            "error: a drill is at work on this demo (replay-delayed): wait until it is done, or end it with Ctrl-C",
        )?;
    }
    let group = Pid::from_raw(i32::try_from(drill.0.id())?).ok_or("no process")?;
    kill_process_group(group, Signal::INT)?;
    let status = drill.0.wait()?;
    let said = std::fs::read_to_string(&log)?;
    require(!status.success(), "it succeeded")?;
    require(said.contains("error: interrupted; what was broken is mended"), &said)?;
    user.becomes("0", 10, || user.on_replica(delay))?;
    is_well(user)
}

pub fn quick_drills_pass(user: &User) -> Outcome {
    let page = user.path("drills.md");
    // How fast a machine sees and heals is docs/drills.md's; here other tests have it, too.
    let options = format!("DRILLS=--patience 5 --markdown {}", page.display());
    require(user.run(user.make(&["drills", &options]))?, "not all drills passed")?;
    let text = std::fs::read_to_string(&page)?;
    let quick = DRILLS.iter().filter(|drill| drill.length == operations_lab::drill::Length::Quick);
    let mut refused = Vec::new();
    for drill in quick {
        let row = format!("| [{0}](#{0}) | ", drill.name);
        let verdict = text.lines().find_map(|line| line.strip_prefix(&row)?.split(' ').next());
        match verdict {
            Some("passed") => {}
            Some("refused") => refused.push(drill.name),
            other => return Err(Stop::Failed(format!("{}: {other:?}", drill.name))),
        }
    }
    if !refused.is_empty() {
        println!("SKIPPED drills that this machine does not allow: {}", refused.join(", "));
    }
    is_well(user)
}
