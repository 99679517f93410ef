// Lines over time.

import { color, element, setText } from "./elements.js";
import { endPlot, frame, moveByKeys, redraw, sampleAt, timePlot } from "./panels.js";
import { clock, unit } from "./text.js";
import { lowerBound } from "./store.js";

const COLORS = 6;
const NONE = "–";
/** The colour of each line, by panel and key: a line keeps it when a failover brings others. */
const colors = new Map();

function colorOf(panel, key) {
  if (!colors.has(panel)) colors.set(panel, new Map());
  const known = colors.get(panel);
  if (!known.has(key)) known.set(key, known.size);
  return known.get(key);
}

/** A panel of lines, with a table of the values now, or at the moment pointed at, and of their extremes. */
export function linesPanel(spec, store, view) {
  const { section, body } = frame(spec);
  const { full, axis, steps, least } = unit(spec.unit);
  const keys = spec.series.map(({ key }) => key);
  const order = keys.map((key) => colorOf(spec.id, key));
  const stroke = (line) => () => color(`line-${(order[line] % COLORS) + 1}`);
  const labels = names(spec);
  const lines = labels.map((label, index) => ({
    label,
    stroke: stroke(index),
    width: 1.6,
    fill: keys.length <= 2 ? () => `${stroke(index)()}14` : undefined,
    dash: order[index] >= COLORS ? [4, 3] : undefined,
    points: { show: false, size: 4, filter: alone },
  }));
  const { u, place } = timePlot(body, spec.title, view, 168, {
    series: [{}, ...lines],
    scales: { y: { range: (_, low, high) => [Math.min(low ?? 0, 0), Math.max((high ?? 0) * 1.08, least)] } },
    axes: [{ incrs: steps, space: 32, values: (_, splits) => splits.map(axis) }],
    hooks: { setCursor: [() => table.update()] },
  });
  const table = valuesTable(spec, labels, order, store, view, u, full);
  body.append(table.element);
  moveByKeys(place, u, view, (index) => keys.map((key, line) => `${labels[line]} ${said(store.values(key)[index], full)}`).join(", "));
  return {
    section,
    draw() {
      redraw(u, [store.t, ...keys.map((key) => store.values(key))], view);
      table.update();
    },
    recolor: () => u.redraw(false, true),
    end: () => endPlot(u),
  };
}

/** The names of lines; what all of them have in common is in the heading already. */
function names({ series }) {
  const parts = series.map(({ label }) => label.match(/^(.+) \((.+)\)$/));
  const isCommon = series.length > 1 && parts.every((part) => part !== null && part[1] === parts[0][1]);
  return series.map(({ label }, line) => (isCommon ? parts[line][2] : label));
}

/** Samples between two gaps: a line has no length there. */
function alone(u, series, isShown, gaps) {
  if (isShown) return null;
  const values = u.data[series];
  const [from, to] = [Math.max(u.series[0].idxs?.[0] ?? 0, 0), u.series[0].idxs?.[1] ?? values.length - 1];
  const found = [];
  for (let at = from; at <= to; at += 1) {
    if (values[at] !== null && (values[at - 1] ?? null) === null && (values[at + 1] ?? null) === null) found.push(at);
  }
  return found;
}

function said(value, full) {
  return value === null || value === undefined ? "no value" : full(value);
}

function valuesTable(spec, labels, order, store, view, u, full) {
  const when = element("th", { scope: "col" }, "now");
  const rows = spec.series.map(({ key }, index) => {
    const swatch = element("span", { class: "swatch", "aria-hidden": "true" });
    swatch.dataset.line = (order[index] % COLORS) + 1;
    const cells = ["value", "least", "most"].map((name) => element("td", { class: name }));
    return { key, cells, row: element("tr", {}, element("th", { scope: "row" }, swatch, labels[index]), ...cells) };
  });
  const table = element(
    "table",
    { class: "values" },
    element("caption", { class: "unseen" }, `${spec.title}: values now, and the least and most of the range`),
    element("thead", {}, element("tr", {}, element("th", { scope: "col" }, element("span", { class: "unseen" }, "line")), when, element("th", { scope: "col" }, "least"), element("th", { scope: "col" }, "most"))),
    element("tbody", {}, ...rows.map(({ row }) => row)),
  );
  const update = () => {
    const { t } = store;
    const index = sampleAt(u, t, store.step);
    setText(when, index === null ? "now" : clock(t[index]));
    const isLate = t.length === 0 || view.now - t[t.length - 1] > 3.5 * store.step;
    const shown = index ?? (isLate ? null : t.length - 1);
    const first = lowerBound(t, view.from);
    for (const { key, cells } of rows) {
      const values = store.values(key);
      let [least, most] = [null, null];
      for (let at = first; at < values.length; at += 1) {
        const value = values[at];
        if (value === null) continue;
        if (least === null || value < least) least = value;
        if (most === null || value > most) most = value;
      }
      const now = shown === null ? null : values[shown];
      [now, least, most].forEach((value, cell) => setText(cells[cell], (value ?? null) === null ? NONE : full(value)));
    }
  };
  return { element: table, update };
}
