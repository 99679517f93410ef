//! A failover, seen on the page that was open before.

use std::time::Duration;

use operations_lab::checks::{Outcome, require, same};

use crate::pixels::without_flag;
use crate::viewer::Viewer;

/// What the server is that was made as the primary, and what the other one.
fn roles(viewer: &Viewer) -> String {
    let addresses = [viewer.user.primary_port, viewer.user.replica_port].map(|port| format!("127.0.0.1:{port}"));
    format!(
        "return {addresses:?}.map((address) => [...document.querySelectorAll('.server')].find((one) => \
         one.querySelector('.address').innerText === address)?.querySelector('.role').innerText).join(' ')"
    )
}

/// The verdict, its finding and the legend of the lag say replica of the server that was made as the primary.
fn servers_are_called_what_they_are(viewer: &Viewer) -> Outcome {
    let (browser, user) = (&viewer.browser, &viewer.user);
    let replica = format!("replica 127.0.0.1:{}", user.primary_port);
    user.session("psql-replica", "select pg_wal_replay_pause();")?;
    let word = "return document.getElementById('verdict-word').innerText";
    let told = format!("{word} === 'broken: replay_paused on {replica}'");
    let seen = browser.waits("the paused replica in the verdict", Duration::from_secs(20), &told, word);
    let place = browser.text("return document.querySelector('.finding .where')?.innerText ?? ''");
    user.session("psql-replica", "select pg_wal_replay_resume();")?;
    seen?;
    same("the finding's server", replica.as_str(), place?.as_str())?;
    let legend = browser.text("return document.getElementById('panel-lag_bytes').querySelector('tbody').innerText")?;
    require(legend.contains(&replica), format!("the legend of the lag has no {replica}: {legend}"))?;
    viewer.has_verdict("ok", 30)
}

pub fn new_roles_come_without_a_reload(viewer: &Viewer) -> Outcome {
    let browser = &viewer.browser;
    viewer.user.succeeds(&["failover"])?;
    let roles = roles(viewer);
    let taken = roles.replacen("return ", "return / primary$/.test(", 1) + ")";
    browser.waits("the replica as the primary", Duration::from_secs(10), &taken, &roles)?;
    viewer.user.succeeds(&["rejoin"])?;
    let swapped = roles.replacen("return ", "return 'replica primary' === ", 1);
    browser.waits("both with their new roles", Duration::from_secs(20), &swapped, &roles)?;
    viewer.has_verdict("ok", 30)?;
    servers_are_called_what_they_are(viewer)?;
    require(browser.ask("return window.isTheFirst")? == true, "the page was loaded anew")?;
    let begun = "return Math.max(0, ...[...document.querySelectorAll('#marks .mark')].filter((mark) => \
        mark.querySelector('.kind').innerText === 'failover').map((mark) => Date.parse(mark.querySelector('time').dateTime)))";
    let begun = browser.ask(begun)?.as_u64().filter(|begun| *begun > 0).ok_or("no failover among what happened")?;
    let missing = browser.text(&without_flag(begun, "mark-failover"))?;
    require(missing.is_empty(), format!("it is not marked in {missing}"))?;
    viewer.picture("failover")
}
