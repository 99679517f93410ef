//! What the page gets, made of what is known.

use std::collections::BTreeMap;

use super::known::{Before, Collected, Growth, Inner, Known, NO_ANSWER, Stream, now};
use super::model::{Beside, FindingLine, Month, PanelLine, SeriesLine, ServerLine, State};
use super::ring::{STEP, write_number};
use crate::doctor::{Finding, Severity};
use crate::metrics::{Collector, Draw, METRICS, Metric, PANELS, Pace, Sample, Where};
use crate::role::Role;

/// `server` in what concerns no single one.
pub const ALL: &str = "all";

/// How things are.
pub fn state(inner: &Inner) -> State {
    let looked = inner.looked.as_ref();
    let line = |finding: &Finding| {
        let server = server_of(inner, &finding.server);
        let key = (server.clone(), finding.code.clone());
        FindingLine {
            code: finding.code.clone(),
            severity: finding.severity.word(),
            since: looked.and_then(|looked| looked.found.get(&key).copied()).unwrap_or_else(now),
            server,
            evidence: finding.evidence.clone(),
            next: finding.next_command.clone(),
        }
    };
    let worse = |finding: &&Finding| finding.severity != Severity::Info;
    State {
        now: now(),
        version: env!("CARGO_PKG_VERSION"),
        verdict: looked.map_or("unknown", |looked| looked.report.verdict.word()),
        since: looked.map_or(0, |looked| looked.since),
        looked: looked.map_or(0, |looked| looked.at),
        findings: looked.iter().flat_map(|looked| &looked.report.findings).filter(worse).map(line).collect(),
        servers: inner.servers.iter().map(|known| server_line(inner, known)).collect(),
        panels: PANELS
            .iter()
            .map(|panel| PanelLine {
                id: panel.id,
                title: panel.title,
                help: panel.help,
                unit: panel.unit,
                kind: panel.kind,
                series: series_of(inner, panel.id),
            })
            .collect(),
    }
}

fn server_line(inner: &Inner, known: &Known) -> ServerLine {
    let failed = || {
        known.collected.iter().find_map(|(name, collected)| {
            let error = collected.error.as_ref().filter(|error| *error != NO_ANSWER)?;
            Some(format!("{name}: {error}"))
        })
    };
    ServerLine {
        name: known.name.clone(),
        called: called(inner, known),
        address: known.address.clone(),
        role: known.role.map(|role| match role {
            Role::Primary => "primary",
            Role::Replica => "replica",
        }),
        up: known.up,
        follows: known.stream.as_ref().filter(|_| known.role == Some(Role::Replica)).map(|stream| stream.from.clone()),
        since: known.since,
        error: known.refusal.as_ref().map(ToString::to_string).or_else(failed).map(|text| crate::marks::plain(&text)),
    }
}

/// Findings name a server by role and address; the role changes, the address does not.
pub fn server_of(inner: &Inner, name: &str) -> String {
    let found = inner.servers.iter().find(|known| is_at(name, &known.address));
    found.map_or(ALL, |known| known.name.as_str()).to_owned()
}

/// What a server is now, and where: its name is of the beginning, and a failover makes it wrong. Of one that does not answer the
/// doctor may know better than who saw it last: a demo's data tell.
pub fn called(inner: &Inner, known: &Known) -> String {
    let looked = inner.looked.iter().flat_map(|looked| &looked.report.servers).map(|server| &server.name);
    let by_doctor = || looked.clone().find(|name| is_at(name, &known.address)).cloned();
    let by_role = || Some(format!("{} {}", known.role?, known.address));
    let told = if known.up == Some(true) { by_role().or_else(by_doctor) } else { by_doctor().or_else(by_role) };
    told.unwrap_or_else(|| format!("{} {}", known.name, known.address))
}

/// Whether a name of the doctor's, role and address, is of the server at an address.
fn is_at(name: &str, address: &str) -> bool {
    name.rsplit(' ').next() == Some(address)
}

/// The series of a panel that there are, in the order of the table.
fn series_of(inner: &Inner, panel: &str) -> Vec<SeriesLine> {
    let mut series = Vec::new();
    for metric in METRICS {
        for plot in metric.plots.iter().filter(|plot| plot.panel == panel) {
            let base = base_of(metric, plot.draw);
            for key in inner.ring.keys() {
                let Some(rest) =
                    key.strip_prefix(base.as_str()).filter(|rest| rest.is_empty() || rest.starts_with(['@', '{']))
                else {
                    continue;
                };
                let (labels, server) = rest.rsplit_once('@').filter(|(_, of)| !of.ends_with('}')).unwrap_or((rest, ""));
                let server = inner.servers.iter().find(|known| known.name == server);
                let labels = labels.split(['{', '}', ' ']).filter(|part| !part.is_empty());
                let is_of_slot = metric.labels.contains(&"slot");
                series.push(series_line(inner, key, plot.label, (labels.collect(), server), is_of_slot));
            }
        }
    }
    series
}

fn series_line(
    inner: &Inner,
    key: &str,
    plot: &str,
    (labels, server): (Vec<&str>, Option<&Known>),
    is_of_slot: bool,
) -> SeriesLine {
    let place = server.map(|known| called(inner, known));
    let of: Vec<_> = labels.iter().copied().chain(place.as_deref()).collect();
    let told = |of: &[&str]| match of {
        [] => plot.to_owned(),
        of => format!("{plot} ({})", of.join(", ")),
    };
    // A slot is about the replica that it keeps WAL for.
    let reader = server.filter(|_| is_of_slot).and_then(|keeper| {
        let has = |stream: &Stream| stream.from == keeper.name && stream.slot.as_deref() == labels.first().copied();
        inner.servers.iter().find(|known| known.stream.as_ref().is_some_and(has))
    });
    let (measure, row) = match &place {
        Some(place) if !is_of_slot => (told(&labels), place.clone()),
        _ => (plot.to_owned(), labels.join(", ")),
    };
    let name = if is_of_slot { reader } else { server }.map(|known| known.name.clone());
    let on = place.clone().filter(|_| is_of_slot);
    SeriesLine { key: key.to_owned(), label: told(&of), measure, on, row, server: name }
}

fn base_of(metric: &Metric, draw: Draw) -> String {
    format!("{}{}", metric.family(), draw.suffix())
}

/// `operations_inserted:rate` of the server that takes writes; else with the labels, `{slot}`, and the server, `@primary`.
fn key_of(sample: &Sample, draw: Draw, of: Where) -> String {
    let mut key = base_of(sample.metric, draw);
    for label in sample.labels.iter().skip(1) {
        key.push_str(&format!("{{{label}}}"));
    }
    if let (Where::Everywhere, Some(server)) = (of, sample.labels.first()) {
        key.push_str(&format!("@{server}"));
    }
    key
}

/// The server that takes writes, of those that answer.
pub fn writer(inner: &Inner) -> Option<usize> {
    inner.writer(|known| known.up == Some(true))
}

fn value_of(known: &Known, name: &str) -> Option<f64> {
    let samples = known.collected.values().flat_map(|collected| &collected.samples);
    samples.into_iter().find(|sample| sample.metric.name == name).map(|sample| sample.value)
}

/// Whether what a collector gave is still told.
pub fn is_fresh(collector: &Collector, collected: &Collected) -> bool {
    let pause = match collector.pace {
        Pace::Quick => 2000,
        Pace::After(pause) => u64::try_from(pause.as_millis()).unwrap_or(u64::MAX).max(pause_of(collected)),
    };
    collected.error.is_none() && now().saturating_sub(collected.at) < pause.saturating_mul(2) + 2000
}

/// How long a dear question is not asked again, in milliseconds.
pub fn pause_of(collected: &Collected) -> u64 {
    u64::try_from(collected.took.as_millis()).unwrap_or(u64::MAX).saturating_mul(50)
}

/// Lag is known where both ends are.
pub fn lag(inner: &Inner, known: &Known) -> Option<Sample> {
    let written = value_of(&inner.servers[writer(inner)?], "wal_written_bytes_total")?;
    let replayed = value_of(known, "wal_replayed_bytes_total")?;
    let metric = Metric::find("replay_lag_bytes")?;
    Some(Sample { metric, labels: vec![known.name.clone()], value: (written - replayed).max(0.0) })
}

/// All values that are drawn, by key; takes note of what grows.
pub fn values(inner: &mut Inner) -> BTreeMap<String, Option<f64>> {
    let (time, mut values, mut before) = (now(), BTreeMap::new(), std::mem::take(&mut inner.drawn));
    let writer = writer(inner);
    for (index, known) in inner.servers.iter().enumerate() {
        for (name, collected) in &known.collected {
            let Some(collector) = Collector::find(name).filter(|collector| is_fresh(collector, collected)) else {
                continue;
            };
            if collector.of == Where::Writer && writer != Some(index) {
                continue;
            }
            for sample in &collected.samples {
                for plot in sample.metric.plots {
                    let key = key_of(sample, plot.draw, collector.of);
                    let value = match plot.draw {
                        Draw::Value => Some(sample.value),
                        #[allow(clippy::cast_precision_loss, reason = "milliseconds since 1970 have 41 bits")]
                        Draw::Age => Some((collected.at as f64 / 1000.0 - sample.value).max(0.0)),
                        Draw::Rate => grown(&mut before, &key, collected.at, sample.value),
                    };
                    values.insert(key, value);
                }
            }
        }
        if let Some(sample) = lag(inner, known) {
            values.insert(key_of(&sample, Draw::Value, Where::Everywhere), Some(sample.value));
        }
    }
    // What was not there for a while begins anew.
    before.retain(|_, growth| time.saturating_sub(growth.at) < 600_000);
    inner.drawn = before;
    values
}

/// How much a series has grown in a second since it was taken before; nothing where it has shrunk.
#[allow(clippy::cast_precision_loss, reason = "a few milliseconds")]
fn grown(before: &mut Before, key: &str, at: u64, value: f64) -> Option<f64> {
    let growth = before.entry(key.to_owned()).or_insert(Growth { at, value, rate: None });
    if at > growth.at {
        let seconds = (at - growth.at) as f64 / 1000.0;
        // After a long gap nobody knows when it grew.
        let rate = (value >= growth.value && seconds < 120.0).then(|| (value - growth.value) / seconds);
        *growth = Growth { at, value, rate };
    }
    growth.rate
}

/// `{"t":..,"values":{..}}`
pub fn sample(time: u64, values: &BTreeMap<String, Option<f64>>) -> String {
    let mut text = format!("{{\"t\":{time},\"values\":{{");
    for (count, (key, value)) in values.iter().enumerate() {
        let comma = if count == 0 { "" } else { "," };
        text.push_str(&format!("{comma}{}:", serde_json::Value::from(key.as_str())));
        write_number(&mut text, value.unwrap_or(f64::NAN));
    }
    text.push_str("}}");
    text
}

/// The last hour.
pub fn history(inner: &Inner) -> String {
    let mut text = format!("{{\"step\":{STEP},");
    inner.ring.write_json(&mut text);
    let beside = Beside {
        marks: inner.marks.iter().collect(),
        runs: inner.runs.iter().collect(),
        loads: inner.loads.iter().collect(),
        months: &inner.months,
    };
    match serde_json::to_string(&beside) {
        Ok(json) => text.push_str(&format!(",{}", &json[1..])),
        Err(_) => text.push('}'),
    }
    text
}

/// The months of the server that takes writes, if they are known.
pub fn months(inner: &Inner) -> Option<Vec<Month>> {
    let collected =
        inner.servers[writer(inner)?].collected.get("months").filter(|collected| collected.error.is_none())?;
    let mut months = BTreeMap::<&str, Month>::new();
    for sample in &collected.samples {
        let [_, month, status] = sample.labels.as_slice() else { continue };
        let line = months.entry(month).or_insert_with(|| Month { month: month.clone(), new: 0, done: 0 });
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
        let count = sample.value.max(0.0) as u64;
        match status.as_str() {
            "new" => line.new = count,
            _ => line.done = count,
        }
    }
    Some(months.into_values().collect())
}

#[cfg(test)]
#[path = "draw_tests.rs"]
mod tests;
