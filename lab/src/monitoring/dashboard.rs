//! The dashboard as Grafana reads it: the panels of the page, and above them what is wrong.

use serde_json::{Value, json};

use crate::metrics::{Draw, METRICS, Metric, PANELS, PREFIX, Panel};

/// What the data source is known by; `docker/monitoring/grafana/datasources/` gives it this uid.
const SOURCE: &str = "operations-prometheus";

/// How far a rate looks back. Grafana fits it to the scrapes.
const RATE_OVER: &str = "$__rate_interval";

/// A query of a panel, and what its lines are called.
#[derive(Clone, Debug)]
pub struct Query {
    /// The expression.
    pub expression: String,
    /// The name of a line; labels stand in braces.
    legend: String,
}

/// What a panel of the page asks for.
fn queries_of(panel: &Panel) -> Vec<Query> {
    let asked = match panel.id {
        "jobs" => vec![named("job_last_run_succeeded", "{{job}}")],
        "months" => vec![named("month_operations", "{{month}} {{status}}")],
        _ => Vec::new(),
    };
    let plots = METRICS.iter().flat_map(|metric| metric.plots.iter().map(move |plot| (metric, plot)));
    let plots = plots.filter(|(_, plot)| plot.panel == panel.id);
    asked.into_iter().chain(plots.map(|(metric, plot)| drawn(metric, plot.draw, plot.label))).collect()
}

fn named(metric: &str, legend: &str) -> Query {
    Query { expression: format!("{PREFIX}{metric}"), legend: legend.to_owned() }
}

/// What the page draws, in Prometheus's words.
fn drawn(metric: &Metric, draw: Draw, label: &str) -> Query {
    let name = format!("{PREFIX}{}", metric.name);
    let expression = match (draw, metric.name.ends_with("_total")) {
        (Draw::Value, _) => name,
        (Draw::Rate, true) => format!("rate({name}[{RATE_OVER}])"),
        // It may shrink, when rows are deleted.
        (Draw::Rate, false) => format!("deriv({name}[{RATE_OVER}])"),
        (Draw::Age, _) => format!("time() - {name}"),
    };
    let labels: String = metric.labels.iter().map(|label| format!("{{{{{label}}}}} ")).collect();
    Query { expression, legend: format!("{labels}{label}") }
}

/// What is above the panels of the page: title, kind of panel, width, and query.
fn overview() -> Vec<(&'static str, &'static str, u32, Query)> {
    vec![
        ("Verdict", "stat", 6, Query { expression: format!("{PREFIX}verdict == 1"), legend: "{{verdict}}".to_owned() }),
        ("Servers that answer", "stat", 6, named("up", "{{server}}")),
        ("Servers that take writes", "stat", 6, named("writable", "{{server}}")),
        (
            "Findings",
            "stat",
            6,
            Query {
                expression: format!("sum(sum by (code) ({PREFIX}findings)) or vector(0)"),
                legend: "findings".to_owned(),
            },
        ),
        (
            "Collectors that fail",
            "stat",
            6,
            Query {
                expression: format!("count({PREFIX}collector_success == 0) or vector(0)"),
                legend: "collectors".to_owned(),
            },
        ),
        (
            "Findings by code",
            "timeseries",
            18,
            Query {
                expression: format!("{PREFIX}findings > 0 or on () vector(0)"),
                legend: "{{server}} {{code}}".to_owned(),
            },
        ),
    ]
}

/// The expressions of all panels, as they stand in the dashboard.
#[must_use]
pub fn queries() -> Vec<String> {
    let above = overview().into_iter().map(|(.., query)| query);
    above.chain(PANELS.iter().flat_map(queries_of)).map(|query| query.expression).collect()
}

/// The expressions by the titles of their panels, for rates over `rate_over`.
#[must_use]
pub fn panels(rate_over: &str) -> Vec<(&'static str, String)> {
    let above = overview().into_iter().map(|(title, _, _, query)| (title, query));
    let below = PANELS.iter().flat_map(|panel| queries_of(panel).into_iter().map(|query| (panel.title, query)));
    above.chain(below).map(|(title, query)| (title, query.expression.replace(RATE_OVER, rate_over))).collect()
}

/// The name of a unit in Grafana.
fn unit(of_page: &str) -> &'static str {
    match of_page {
        "ops/s" => "ops",
        "bytes" => "bytes",
        "bytes/s" => "Bps",
        "s" => "s",
        _ => "short",
    }
}

fn source() -> Value {
    json!({"type": "prometheus", "uid": SOURCE})
}

fn targets(queries: &[Query], at_one_moment: bool) -> Vec<Value> {
    let letters = ('A'..='Z').map(String::from);
    let target = |(query, letter): (&Query, String)| {
        json!({
            "refId": letter,
            "datasource": source(),
            "expr": query.expression,
            "legendFormat": query.legend,
            "instant": at_one_moment,
            "range": !at_one_moment,
        })
    };
    queries.iter().zip(letters).map(target).collect()
}

/// Lays panels out from left to right, in rows of 24 columns.
struct Grid {
    x: u32,
    y: u32,
    panels: Vec<Value>,
}

impl Grid {
    fn put(&mut self, (width, height): (u32, u32), mut panel: Value) {
        if self.x + width > 24 {
            self.x = 0;
            self.y += height;
        }
        panel["id"] = json!(self.panels.len() + 1);
        panel["gridPos"] = json!({"x": self.x, "y": self.y, "w": width, "h": height});
        panel["datasource"] = source();
        self.x += width;
        self.panels.push(panel);
    }
}

/// The dashboard.
#[must_use]
pub fn dashboard() -> String {
    let mut grid = Grid { x: 0, y: 0, panels: Vec::new() };
    for (title, kind, width, query) in overview() {
        let (is_stat, queries) = (kind == "stat", [query]);
        grid.put(
            (width, 6),
            json!({
                "type": kind,
                "title": title,
                "targets": targets(&queries, is_stat),
                "fieldConfig": {"defaults": {"unit": "short", "decimals": 0}, "overrides": []},
                "options": if is_stat { stat(title) } else { legend() },
            }),
        );
    }
    for panel in PANELS {
        let queries = queries_of(panel);
        let is_bars = panel.kind == "bars";
        let (kind, defaults, options) = match panel.kind {
            "timeline" => {
                ("state-timeline", json!({"mappings": succeeded()}), json!({"showValue": "never", "mergeValues": true}))
            }
            "bars" => (
                "bargauge",
                json!({"unit": unit(panel.unit)}),
                json!({"displayMode": "basic", "orientation": "horizontal"}),
            ),
            _ => ("timeseries", json!({"unit": unit(panel.unit), "custom": {"spanNulls": false}}), legend()),
        };
        grid.put(
            (12, 8),
            json!({
                "type": kind,
                "title": panel.title,
                "description": panel.help,
                "targets": targets(&queries, is_bars),
                "fieldConfig": {"defaults": defaults, "overrides": []},
                "options": options,
            }),
        );
    }
    let mut whole = json!({
        "uid": "operations-lab",
        "title": "Operations lab",
        "tags": ["postgresql", "operations"],
        "timezone": "browser",
        "editable": true,
        "schemaVersion": 39,
        "refresh": "5s",
        "time": {"from": "now-1h", "to": "now"},
        "annotations": {"list": [
            marks("Alerts", "ALERTS{alertstate=\"firing\", alertname=~\"Operations.*\"}", "{{alertname}}", "red"),
            marks("Roles", &format!("changes({PREFIX}writable[1m]) > 0"), "{{server}} has changed its role", "blue"),
        ]},
        "panels": grid.panels,
    });
    // Whether serde_json keeps an order of its own depends on what else is built.
    whole.sort_all_objects();
    serde_json::to_string_pretty(&whole).map(|text| text + "\n").unwrap_or_default()
}

fn marks(name: &str, expression: &str, title: &str, color: &str) -> Value {
    json!({
        "name": name, "enable": true, "iconColor": color, "datasource": source(),
        "expr": expression, "titleFormat": title, "step": "5s",
    })
}

/// A verdict is told by its name; the others by their numbers.
fn stat(title: &str) -> Value {
    let text = if title == "Verdict" { "name" } else { "value_and_name" };
    json!({"textMode": text, "colorMode": "none", "reduceOptions": {"calcs": ["lastNotNull"]}})
}

fn legend() -> Value {
    json!({"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}})
}

fn succeeded() -> Value {
    json!([{"type": "value", "options": {
        "0": {"text": "failed", "color": "red"},
        "1": {"text": "succeeded", "color": "green"},
    }}])
}
