//! The metrics as OpenMetrics.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit as NamedUnit};

use super::{Kind, METRICS, Metric, Sample};

/// What all names begin with.
pub const PREFIX: &str = "operations_lab_";

/// Of what [`encode`] gives.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics that have values, each declared once and in the table's order.
#[must_use]
pub fn encode(samples: Vec<Sample>) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Samples(samples)));
    let mut text = String::with_capacity(64 * 1024);
    // A String takes whatever is written to it.
    let _ = text::encode(&mut text, &registry);
    text
}

#[derive(Debug)]
struct Samples(Vec<Sample>);

impl Collector for Samples {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        for metric in METRICS {
            let mut samples = self.0.iter().filter(|sample| std::ptr::eq(sample.metric, metric)).peekable();
            if samples.peek().is_none() {
                continue;
            }
            let unit = metric.unit.suffix().map(|suffix| NamedUnit::Other(suffix.to_owned()));
            let (name, kind) = (name(metric), kind(metric.kind));
            let mut family = encoder.encode_descriptor(&name, metric.help, unit.as_ref(), kind)?;
            for sample in samples {
                let labels: Vec<(&str, String)> =
                    metric.labels.iter().copied().zip(sample.labels.iter().map(|value| escaped(value))).collect();
                match (metric.kind, labels.is_empty()) {
                    (Kind::Counter, true) => family.encode_counter::<NoLabelSet, f64, f64>(&sample.value, None)?,
                    (Kind::Counter, false) => {
                        family.encode_family(&labels)?.encode_counter::<NoLabelSet, f64, f64>(&sample.value, None)?
                    }
                    (Kind::Gauge, true) => family.encode_gauge(&sample.value)?,
                    (Kind::Gauge, false) => family.encode_family(&labels)?.encode_gauge(&sample.value)?,
                    (Kind::Info, _) => family.encode_info(&labels)?,
                }
            }
        }
        Ok(())
    }
}

/// With the prefix, and without what prometheus-client adds: the unit, `_total`, `_info`.
fn name(metric: &Metric) -> String {
    let family = metric.family();
    let base = metric.unit.suffix().and_then(|unit| family.strip_suffix(unit)?.strip_suffix('_')).unwrap_or(family);
    format!("{PREFIX}{base}")
}

fn kind(kind: Kind) -> MetricType {
    match kind {
        Kind::Counter => MetricType::Counter,
        Kind::Gauge => MetricType::Gauge,
        Kind::Info => MetricType::Info,
    }
}

/// Names of slots and relations are others' to choose, and prometheus-client writes labels as they are.
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for character in value.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            other => text.push(other),
        }
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by a panic")]
mod tests {
    use super::*;

    fn sample(name: &str, labels: &[&str], value: f64) -> Sample {
        let metric = Metric::find(name).unwrap();
        Sample { metric, labels: labels.iter().map(|label| (*label).to_owned()).collect(), value }
    }

    #[test]
    fn writes_each_kind_as_openmetrics_has_it() {
        let samples = vec![
            sample("wal_written_bytes_total", &["primary"], 123.0),
            sample("up", &["primary"], 1.0),
            sample("up", &["replica"], 0.0),
            sample("slot_retained_bytes", &["primary", "a\"\\\nb"], 5.0),
            sample("build_info", &["1.2.3"], 1.0),
        ];
        let text = encode(samples);
        let expected = "\
# HELP operations_lab_build The program that tells these metrics.
# TYPE operations_lab_build info
operations_lab_build_info{version=\"1.2.3\"} 1
# HELP operations_lab_up Whether the server takes new connections and answers within 1.5 seconds.
# TYPE operations_lab_up gauge
operations_lab_up{server=\"primary\"} 1.0
operations_lab_up{server=\"replica\"} 0.0
# HELP operations_lab_slot_retained_bytes The WAL that is kept for the slot.
# TYPE operations_lab_slot_retained_bytes gauge
# UNIT operations_lab_slot_retained_bytes bytes
operations_lab_slot_retained_bytes{server=\"primary\",slot=\"a\\\"\\\\\\nb\"} 5.0
# HELP operations_lab_wal_written_bytes How much WAL the primary has written since the cluster was made: its position.
# TYPE operations_lab_wal_written_bytes counter
# UNIT operations_lab_wal_written_bytes bytes
operations_lab_wal_written_bytes_total{server=\"primary\"} 123.0
# EOF
";
        assert_eq!(text, expected);
    }
}
