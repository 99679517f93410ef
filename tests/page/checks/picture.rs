//! The picture of README: a load, a killed replica, and replay that is paused at this moment.

use std::path::PathBuf;
use std::time::Duration;

use operations_demo_checks::Running;
use operations_lab::checkout;
use operations_lab::checks::{Outcome, require};

use crate::viewer::Viewer;

/// Until the lag is to be seen.
const LAG: Duration = Duration::from_secs(75);

/// A picture that is larger makes the repository heavy.
const LARGEST: u64 = 200_000;

/// The file that `OPERATIONS_PICTURE` names.
pub fn wanted() -> Option<PathBuf> {
    std::env::var_os("OPERATIONS_PICTURE").map(|file| checkout().join(file))
}

pub fn picture_of_readme(viewer: &Viewer) -> Outcome {
    let (user, browser) = (&viewer.user, &viewer.browser);
    let file = wanted().ok_or("OPERATIONS_PICTURE is not set")?;
    browser.ask("document.querySelector('[data-minutes=\"5\"]').click()")?;
    user.on_primary("CALL operations_test_data('2026-06-01', '2026-11-30', 400000);")?;
    user.succeeds(&["drill", "NAME=replica-killed"])?;
    user.on_primary("CALL operations_test_data('2026-09-01', '2026-11-30', 200000);")?;
    viewer.has_verdict("ok", 60)?;
    let log = std::fs::File::create(user.path("drill.log"))?;
    let hold = format!("DRILL=--hold {}", LAG.as_secs() + 15);
    let mut make = user.make(&["drill", "NAME=replay-paused", &hold]);
    let mut drill = Running(make.stdout(log.try_clone()?).stderr(log).spawn()?);
    let lag = "return document.querySelector('#panel-lag_seconds .value').innerText";
    let grown = format!("{lag}.endsWith(' s') && parseFloat({}) > 60", lag.trim_start_matches("return "));
    browser.waits("a lag of a minute", LAG + Duration::from_secs(30), &grown, lag)?;
    browser.resize(1600, 1000)?;
    browser.ask("return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")?;
    browser.picture(&file)?;
    require(drill.0.wait()?.success(), std::fs::read_to_string(user.path("drill.log"))?)?;
    let size = std::fs::metadata(&file)?.len();
    require(size <= LARGEST, format!("{} has {size} bytes", file.display()))
}
