//! What somebody sees who opens the page, or hears.

use std::time::Duration;

use operations_lab::checks::{Outcome, require, same};

use crate::viewer::Viewer;

const SOON: Duration = Duration::from_secs(15);

/// Those that the page promises.
const PANELS: [&str; 11] = [
    "throughput",
    "lag_bytes",
    "lag_seconds",
    "slot",
    "jobs",
    "staleness",
    "months",
    "wal",
    "vacuum",
    "locks",
    "loads",
];

pub fn verdict_servers_and_panels_are_there(viewer: &Viewer) -> Outcome {
    let browser = &viewer.browser;
    let shown = |id: &str| browser.text(&format!("return document.getElementById('{id}').innerText"));
    require(shown("verdict-word")?.starts_with("ok: 2 servers asked"), shown("verdict-word")?)?;
    let servers = "return [...document.querySelectorAll('.server')].map((one) => one.querySelector('.address').innerText \
        + ' ' + one.querySelector('.role').innerText).join(', ')";
    let wanted =
        format!("127.0.0.1:{} primary, 127.0.0.1:{} replica", viewer.user.primary_port, viewer.user.replica_port);
    same("servers", wanted.as_str(), browser.text(servers)?.as_str())?;
    let hidden = "return fetch('/').then((page) => page.text()).then((text) => \
        new DOMParser().parseFromString(text, 'text/html').getElementById('marks-empty').hidden)";
    require(browser.ask(hidden)? == true, "before anything is known the page says that nothing happened")?;
    for panel in PANELS {
        let there = browser.ask(&format!("return document.getElementById('panel-{panel}') !== null"))?;
        require(there == true, format!("there is no panel {panel}"))?;
    }
    let without = "return [...document.querySelectorAll('.panel')].filter((panel) => panel.querySelector('canvas') \
        && !panel.querySelector('tbody tr')).map(({ id }) => id).join(' ')";
    let none = format!("{} === ''", without);
    browser.waits("a row of values for each plot", SOON, &none, without)?;
    let rate = "return document.querySelector('#panel-throughput .value').innerText";
    let values = format!("{rate} !== '–'");
    browser.waits("a rate of new operations", SOON, &values, rate)?;
    let jobs = "return ['change_status', 'operation_insert_one'].every((job) => \
        [...document.querySelectorAll('#panel-jobs tbody th')].some((name) => name.innerText === job))";
    browser.waits("both jobs in their panel", SOON, jobs, "return document.getElementById('panel-jobs').innerText")?;
    let months = "return document.querySelectorAll('#panel-months .month').length >= 4";
    browser.waits("a bar for each month", SOON, months, "return document.getElementById('panel-months').innerText")
}

/// All that is drawn can be read aloud, too: names, landmarks, tables, and values by the keys.
pub fn every_plot_can_be_heard(viewer: &Viewer) -> Outcome {
    let browser = &viewer.browser;
    let silent = "const names = (one) => one.getAttribute('aria-label') || document.getElementById(one.getAttribute('aria-labelledby'))?.innerText;
        const all = (selector) => [...document.querySelectorAll(selector)];
        return [
          ...all('section, .plot').filter((one) => !names(one)).map((one) => `no name: ${one.id || one.className}`),
          ...all('canvas').filter((one) => !one.closest('[role=img]')).map(() => 'a canvas that is no image'),
          ...all('.panel').filter((one) => !one.querySelector('caption, ul')).map((one) => `neither table nor list: ${one.id}`),
          ...all('button').filter((one) => !one.innerText.trim()).map((one) => `a button without text: ${one.outerHTML}`),
          ...(all('h1').length === 1 && all('main').length === 1 ? [] : ['not one h1 and one main']),
          ...(document.documentElement.lang === 'en' ? [] : ['no language']),
          ...(document.querySelector('#verdict [role=status]') ? [] : ['the verdict is not announced']),
        ].join('; ')";
    same("what cannot be heard", "", browser.text(silent)?.as_str())?;
    let row = "return document.querySelector('#panel-lag_bytes tbody th') !== null";
    browser.waits(
        "the lag of the replica",
        SOON,
        row,
        "return document.getElementById('panel-lag_bytes').innerText",
    )?;
    browser.ask("document.querySelector('#panel-lag_bytes .plot').focus()")?;
    for _ in 0..3 {
        browser.send("Input.dispatchKeyEvent", serde_json::json!({ "type": "keyDown", "key": "ArrowLeft" }))?;
    }
    let spoken = browser.text("return document.querySelector('.spoken').textContent")?;
    let label = browser.text("return document.querySelector('#panel-lag_bytes tbody th').textContent")?;
    browser.ask("document.activeElement.blur()")?;
    require(spoken.contains(&label) && spoken.contains(':'), format!("the arrow keys said \"{spoken}\""))
}

/// The error of a job names what somebody has called something: here as a browser would take it for an image.
pub fn what_servers_say_is_no_html(viewer: &Viewer) -> Outcome {
    let user = &viewer.user;
    let constraint = r#"ALTER TABLE public.operations {} CONSTRAINT "<img id=injected src=x>""#;
    user.on_primary(&(constraint.replace("{}", "ADD") + " CHECK (status = 0) NOT VALID;"))?;
    let said = "return document.getElementById('findings').textContent";
    let found = format!("{said}.includes('<img id=injected src=x>')");
    let seen = viewer.browser.waits("the constraint's name among the findings", Duration::from_secs(20), &found, said);
    let images = viewer.browser.ask("return document.images.length");
    user.on_primary(&(constraint.replace("{}", "DROP") + ";"))?;
    seen?;
    require(images? == 0, "its name was taken for HTML")?;
    viewer.has_verdict("ok", 20)
}
