//! The plots move, and show the same moment.

use std::time::Duration;

use operations_lab::checks::{Outcome, require, same, wait};

use crate::pixels::PICTURES;
use crate::viewer::Viewer;

pub fn plots_move_by_themselves(viewer: &Viewer) -> Outcome {
    let browser = &viewer.browser;
    let samples = || Ok::<_, String>(browser.ask("return Number(document.getElementById('plots').dataset.samples)"));
    let first = samples()??.as_u64().ok_or("the page does not say how many samples it has")?;
    let before = browser.ask(PICTURES)?;
    let before = before.as_array().ok_or("no plots")?.clone();
    require(before.len() >= 8, format!("only {} plots", before.len()))?;
    browser.waits(
        "three more samples",
        Duration::from_secs(15),
        &format!("return Number(document.getElementById('plots').dataset.samples) >= {}", first + 3),
        "return document.getElementById('plots').dataset.samples",
    )?;
    wait("all plots to look otherwise", Duration::from_secs(10), || {
        let now = browser.ask(PICTURES)?;
        let still = now.as_array().map_or(0, |now| now.iter().zip(&before).filter(|(now, then)| now == then).count());
        require(still == 0, format!("{still} of {} look as before", before.len()))
    })
}

pub fn one_cursor_shows_the_same_moment_in_all_plots(viewer: &Viewer) -> Outcome {
    let browser = &viewer.browser;
    let place = browser.ask(
        "document.getElementById('panel-lag_bytes').scrollIntoView({ block: 'center' });
        const box = document.querySelector('#panel-lag_bytes .u-over').getBoundingClientRect();
        return [box.left + box.width - 8, box.top + box.height / 2]",
    )?;
    let (x, y) = (place[0].as_f64().ok_or("no plot")?, place[1].as_f64().ok_or("no plot")?);
    browser.point(x - 3.0, y)?;
    browser.point(x, y)?;
    let heads = "return [...new Set([...document.querySelectorAll('.plot + .values:not(.jobs) thead th:nth-child(2)')].map(({ innerText }) => innerText))].join(' ')";
    let same_moment = format!("{} ", heads.replacen("return ", "const heads = ", 1))
        + "; return /^\\d\\d:\\d\\d:\\d\\d$/.test(heads)";
    let seen = browser.waits("one moment at the head of all tables", Duration::from_secs(5), &same_moment, heads);
    let away = browser.point(2.0, 2.0);
    seen?;
    away?;
    browser.waits(
        "now at the head of all tables",
        Duration::from_secs(5),
        &heads.replacen("return ", "return 'now' === ", 1),
        heads,
    )
}

pub fn ranges_change_all_plots(viewer: &Viewer) -> Outcome {
    let browser = &viewer.browser;
    for (minutes, text) in [(60, "hour"), (15, "15 minutes"), (5, "5 minutes")] {
        browser.ask(&format!("document.querySelector('[data-minutes=\"{minutes}\"]').click()"))?;
        let shown =
            "const { from, to } = document.getElementById('plots').dataset; return Math.round((to - from) / 60000)";
        let wanted = shown.replacen("return ", &format!("return {minutes} === "), 1);
        browser.waits(&format!("plots of {minutes} minutes"), Duration::from_secs(5), &wanted, shown)?;
        same("heading", text, browser.text("return document.getElementById('range-text').innerText")?.as_str())?;
        let pressed = "return document.querySelector('[data-minutes][aria-pressed=true]').dataset.minutes";
        same("pressed button", minutes.to_string().as_str(), browser.text(pressed)?.as_str())?;
    }
    Ok(())
}
