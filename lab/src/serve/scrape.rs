//! What `/metrics` gets, made of what is known.

use std::collections::BTreeMap;

use super::draw::{ALL, is_fresh, lag, server_of};
use super::known::{Inner, now};
use crate::doctor::{Finding, Severity, codes};
use crate::metrics::{Collector, Metric, Sample};
use crate::role::Role;

/// A report of the doctor is told until it is so old, in milliseconds.
const REPORT_LASTS: u64 = 60_000;

/// All samples for `/metrics`. What is not known now is left out.
#[allow(clippy::cast_precision_loss, reason = "milliseconds since 1970 have 41 bits")]
pub fn samples(inner: &Inner, readers: usize) -> Vec<Sample> {
    let mut samples = Vec::with_capacity(600);
    let mut put = |name: &str, labels: &[&str], value: f64| {
        if let Some(metric) = Metric::find(name) {
            samples.push(Sample { metric, labels: labels.iter().map(|label| (*label).to_owned()).collect(), value });
        }
    };
    let number = |holds: bool| f64::from(u8::from(holds));
    let seconds = |milliseconds: u64| milliseconds as f64 / 1000.0;
    put("build_info", &[env!("CARGO_PKG_VERSION")], 1.0);
    put("page_readers", &[], readers as f64);
    for known in &inner.servers {
        put("up", &[&known.name], number(known.up == Some(true)));
        if let Some(role) = known.role.filter(|_| known.up == Some(true)) {
            put("writable", &[&known.name], number(role == Role::Primary));
        }
        for (name, collected) in &known.collected {
            let labels = [known.name.as_str(), name];
            put("collector_success", &labels, number(collected.error.is_none()));
            put("collector_duration_seconds", &labels, collected.took.as_secs_f64());
            if let Some(at) = collected.succeeded {
                put("collector_last_success_timestamp_seconds", &labels, seconds(at));
            }
        }
    }
    for ((server, job, status), count) in &inner.run_counts {
        put("job_runs_total", &[server, job, status], *count as f64);
    }
    if let Some(looked) = inner.looked.as_ref() {
        put("doctor_last_look_timestamp_seconds", &[], seconds(looked.at));
        if now().saturating_sub(looked.at) < REPORT_LASTS {
            for verdict in ["ok", "degraded", "broken", "unknown"] {
                put("verdict", &[verdict], number(looked.report.verdict.word() == verdict));
            }
            for ((server, code), count) in &findings(inner, &looked.report.findings) {
                put("findings", &[server, code], f64::from(*count));
            }
        }
    }
    for known in &inner.servers {
        samples.extend(lag(inner, known));
        for (name, collected) in &known.collected {
            if Collector::find(name).is_some_and(|collector| is_fresh(collector, collected)) {
                samples.extend(collected.samples.iter().cloned());
            }
        }
    }
    samples
}

/// How many findings there are of each code, also of those that there are none of.
fn findings(inner: &Inner, found: &[Finding]) -> BTreeMap<(String, String), u32> {
    let servers = inner.servers.iter().map(|known| known.name.as_str()).chain([ALL]);
    let mut counts: BTreeMap<_, _> = servers
        .flat_map(|server| {
            codes::ALL.iter().chain(codes::OF_A_SERVER).map(move |code| ((server.to_owned(), (*code).to_owned()), 0))
        })
        .collect();
    for finding in found.iter().filter(|finding| finding.severity != Severity::Info) {
        *counts.entry((server_of(inner, &finding.server), finding.code.clone())).or_default() += 1;
    }
    counts
}
