//! The rules of the table.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::collections::BTreeSet;

use super::*;

#[test]
fn names_follow_the_rules_of_openmetrics() {
    let mut seen = BTreeSet::new();
    for metric in METRICS {
        let name = metric.name;
        assert!(seen.insert(name), "{name} is there twice");
        let plain = |text: &str| {
            text.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_')
        };
        assert!(plain(name) && !name.starts_with(|first: char| !first.is_ascii_lowercase()), "{name}");
        assert_eq!(name.ends_with("_total"), metric.kind == Kind::Counter, "{name}");
        assert_eq!(name.ends_with("_info"), metric.kind == Kind::Info, "{name}");
        let suffix =
            ["bytes", "seconds", "euros"].into_iter().find(|unit| metric.family().ends_with(&format!("_{unit}")));
        assert_eq!(suffix, metric.unit.suffix(), "{name}");
        assert!(
            !["_age", "_kb", "_mb", "_ms", "_milliseconds", "_count", "_percent"]
                .iter()
                .any(|end| metric.family().ends_with(end)),
            "{name}"
        );
        assert!(
            metric.help.ends_with('.') && metric.help.len() < 160 && !metric.help.contains(['\n', '"', '\\']),
            "{name}"
        );
        assert!(metric.labels.iter().all(|label| plain(label) && *label != "le" && *label != "quantile"), "{name}");
    }
}

#[test]
fn each_query_gives_its_metrics_and_their_labels() {
    for collector in COLLECTORS {
        let metrics: Vec<_> = METRICS.iter().filter(|metric| metric.source == Source::Query(collector.name)).collect();
        assert!(!metrics.is_empty(), "{} gives no metric", collector.name);
        let labels = metrics[0].labels;
        assert!(metrics.iter().all(|metric| metric.labels == labels && labels[0] == "server"), "{}", collector.name);
        for (_, query) in collector.queries {
            let words: BTreeSet<_> =
                query.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').collect();
            let wanted = metrics.iter().map(|metric| metric.name).chain(labels[1..].iter().copied());
            for column in wanted {
                assert!(words.contains(column), "{}: {column}", collector.name);
            }
        }
    }
    for metric in METRICS {
        if let Source::Query(name) = metric.source {
            assert!(Collector::find(name).is_some(), "{}: no collector {name}", metric.name);
        }
    }
}

#[test]
fn whatever_reads_operations_asks_whose_they_are() {
    for collector in COLLECTORS {
        let reads = |query: &str| {
            let words: Vec<_> =
                query.split(|letter: char| letter.is_whitespace() || "(),;'".contains(letter)).collect();
            words.windows(2).any(|pair| ["from", "join"].contains(&pair[0]) && pair[1] == "@schema@.operations")
        };
        let reads = collector.queries.iter().any(|(_, query)| reads(query));
        assert_eq!(reads, collector.reads_operations, "{}", collector.name);
    }
}

#[test]
fn each_plot_is_on_a_panel_and_fits_its_metric() {
    for metric in METRICS {
        for plot in metric.plots {
            assert!(PANELS.iter().any(|panel| panel.id == plot.panel), "{}: no panel {}", metric.name, plot.panel);
            let fits = match plot.draw {
                Draw::Age => metric.name.ends_with("_timestamp_seconds"),
                Draw::Value => metric.kind == Kind::Gauge && !metric.name.ends_with("_timestamp_seconds"),
                Draw::Rate => metric.kind == Kind::Counter || metric.name == "operations_done",
            };
            assert!(fits, "{}: {:?}", metric.name, plot.draw);
        }
    }
    for panel in PANELS {
        let drawn = METRICS.iter().any(|metric| metric.plots.iter().any(|plot| plot.panel == panel.id));
        assert!(drawn || ["jobs", "months"].contains(&panel.id), "{} is empty", panel.id);
    }
}
