//! The page of a demo with three replicas, two of which follow the first.

use std::time::Duration;

use operations_lab::checks::{Outcome, require, same};

use crate::looks::at_all_sizes;
use crate::viewer::Viewer;

const SOON: Duration = Duration::from_secs(30);

/// The page is open while the demo gets more replicas.
pub fn three_replicas_come(viewer: &Viewer) -> Outcome {
    viewer.user.succeeds(&["demo", "REPLICAS=3", "CASCADE=on"])?;
    let word = "return document.getElementById('verdict-word').innerText";
    let well = format!("{word}.startsWith('ok: 4 servers asked')");
    viewer.browser.waits("a verdict about four servers", Duration::from_secs(60), &well, word)?;
    // The page was begun anew meanwhile.
    viewer.browser.forgive_refused_connections()
}

fn replica(viewer: &Viewer, number: u16) -> String {
    format!("127.0.0.1:{}", viewer.user.replica_port + number - 1)
}

pub fn who_follows_whom_and_how_far_each_is(viewer: &Viewer) -> Outcome {
    let (primary, first) = (format!("127.0.0.1:{}", viewer.user.primary_port), replica(viewer, 1));
    let shown = "return [...document.querySelectorAll('.server')].map((one) => ['.address', '.role', '.follows'] \
        .map((part) => one.querySelector(part).innerText).join(' ').trim() + ' ' + one.style.getPropertyValue('--depth')).join(', ')";
    let further = [2, 3].map(|number| format!("{} replica follows replica {first} 2", replica(viewer, number)));
    let wanted = format!("{primary} primary 0, {first} replica follows primary {primary} 1, {}", further.join(", "));
    let told = format!("{} === '{wanted}'", shown);
    viewer.browser.waits("who follows whom", SOON, &told, shown)?;
    let lags = "return [...document.querySelectorAll('.server .lag')].map(({ innerText }) => innerText).join('; ')";
    let known = format!("{lags}.match(/ behind, last commit [^;]+ old/g)?.length === 3");
    viewer.browser.waits("the lag of each replica", SOON, &known, lags)
}

/// Colour and dash of what stands for each server, by its address, wherever it stands.
const LOOKS: &str = "const found = {};
    for (const swatch of document.querySelectorAll('.server .swatch, .legend .swatch, .values th .swatch')) {
      const address = swatch.parentElement.innerText.match(/127\\.0\\.0\\.1:\\d+/)?.[0];
      if (!address) continue;
      (found[address] ??= []).push(`${swatch.style.getPropertyValue('--stroke')} ${swatch.dataset.dash}`);
    }";

pub fn a_server_looks_the_same_everywhere(viewer: &Viewer) -> Outcome {
    let browser = &viewer.browser;
    let lines = "return document.querySelectorAll('#panel-lag_bytes tbody tr:not([hidden])').length === 3 \
        && document.querySelectorAll('#panel-wal tbody tr:not([hidden])').length >= 4";
    browser.waits("a line for each server", SOON, lines, "return document.getElementById('panel-wal').innerText")?;
    let differing = format!(
        "{LOOKS} return Object.entries(found).filter(([, looks]) => looks.length < 4 || new Set(looks).size > 1) \
         .map(([address, looks]) => `${{address}}: ${{looks}}`).join('; ')"
    );
    same("servers that look differently here and there", "", browser.text(&differing)?.as_str())?;
    let several = format!(
        "{LOOKS} return new Set(Object.values(found).map(([look]) => look)).size + ' of ' + Object.keys(found).length"
    );
    same("looks", "4 of 4", browser.text(&several)?.as_str())
}

/// Each slot has the look of the replica that it is for, under the server that keeps it.
pub fn slots_stand_by_their_servers(viewer: &Viewer) -> Outcome {
    let slots = "const looks = new Map([...document.querySelectorAll('.server')].map((one) => \
          [one.querySelector('.swatch').style.getPropertyValue('--stroke'), one.querySelector('.address').innerText]));
        let heading = '';
        const found = [];
        for (const row of document.querySelectorAll('#panel-slot tbody tr:not([hidden])')) {
          const name = row.querySelector('th');
          if (row.className === 'heading') heading = name.innerText;
          else found.push(`${heading}: ${name.innerText.trim()} for ${looks.get(name.querySelector('.swatch').style.getPropertyValue('--stroke'))}`);
        }
        return found.filter((line) => line.startsWith('kept')).sort().join('; ')";
    let primary = format!("primary 127.0.0.1:{}", viewer.user.primary_port);
    let (first, second, third) = (replica(viewer, 1), replica(viewer, 2), replica(viewer, 3));
    let wanted = format!(
        "kept, on {primary}: operations_replica for {first}; kept, on replica {first}: operations_replica_2 for {second}; \
         kept, on replica {first}: operations_replica_3 for {third}"
    );
    let told = format!("return (() => {{ {slots} }})() === '{wanted}'");
    viewer.browser.waits("the slots by server", SOON, &told, slots)
}

/// The lines of the others stand back, in the plots and their tables.
pub fn one_server_can_be_chosen(viewer: &Viewer) -> Outcome {
    let browser = &viewer.browser;
    let third = replica(viewer, 3);
    let press = format!(
        "[...document.querySelectorAll('.legend button')].find(({{ innerText }}) => innerText.includes('{third}')).click()"
    );
    let back =
        "return [...document.querySelectorAll('#panel-lag_bytes tbody tr')].map((row) => row.dataset.back).join(' ')";
    same("who stands back before", "false false false", browser.text(back)?.as_str())?;
    browser.ask(&press)?;
    same("who stands back", "true true false", browser.text(back)?.as_str())?;
    let pressed = "return document.querySelectorAll('.legend button[aria-pressed=true]').length";
    require(browser.ask(pressed)? == 1, "not one button is pressed")?;
    browser.ask(&press)?;
    same("who stands back afterwards", "false false false", browser.text(back)?.as_str())
}

/// In four ways to see (all cones, and without those for long, middle and short waves; Machado 2009) each two colours differ in
/// `OKLab`, and each stands out from the card as WCAG wants it of graphics.
pub fn colours_are_told_apart(viewer: &Viewer) -> Outcome {
    let weak = "const style = getComputedStyle(document.documentElement);
        const linear = (name) => style.getPropertyValue(name).trim().match(/[0-9a-f]{2}/gi).map((part) => parseInt(part, 16) / 255)
          .map((value) => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
        const times = (matrix, vector) => matrix.map((row) => row.reduce((sum, value, at) => sum + value * vector[at], 0));
        const lab = (rgb) => times([[.2104542553, .793617785, -.0040720468], [1.9779984951, -2.428592205, .4505937099], [.0259040371, .7827717662, -.808675766]],
          times([[.4122214708, .5363325363, .0514459929], [.2119034982, .6806995451, .1073969566], [.0883024619, .2817188376, .6299787005]], rgb).map(Math.cbrt));
        const ways = { all: [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
          protanopia: [[.152286, 1.052583, -.204868], [.114503, .786281, .099216], [-.003882, -.048116, 1.051998]],
          deuteranopia: [[.367322, .860646, -.227968], [.280085, .672501, .047413], [-.01182, .04294, .968881]],
          tritanopia: [[1.255528, -.076749, -.178779], [-.078411, .930809, .147602], [.004733, .691367, .3039]] };
        const names = [1, 2, 3, 4, 5].map((number) => `--server-${number}`);
        const light = (name) => linear(name).reduce((sum, value, at) => sum + value * [.2126, .7152, .0722][at], 0);
        const weak = names.filter((name) => (Math.max(light(name), light('--card')) + .05) / (Math.min(light(name), light('--card')) + .05) < 3);
        for (const [way, matrix] of Object.entries(ways)) {
          const seen = names.map((name) => lab(times(matrix, linear(name)).map((value) => Math.min(1, Math.max(0, value)))));
          seen.forEach((one, at) => seen.slice(0, at).forEach((other, before) => {
            if (Math.hypot(...one.map((value, part) => value - other[part])) < .12) weak.push(`${names[at]} ${names[before]} ${way}`);
          }));
        }
        return weak.join(', ')";
    for scheme in ["light", "dark"] {
        viewer.browser.prefer(scheme)?;
        let found = viewer.browser.text(weak);
        viewer.browser.prefer("light")?;
        same(format!("colours that are hard to tell, {scheme}"), "", found?.as_str())?;
    }
    Ok(())
}

pub fn many_servers_wide_and_narrow(viewer: &Viewer) -> Outcome {
    at_all_sizes(viewer, "readers_")
}
