// Lines over time.

import { element, setText } from "./elements.js";
import { drawn, looksOf, standsBack, swatch } from "./looks.js";
import { endPlot, frame, moveByKeys, redraw, sampleAt, timePlot } from "./panels.js";
import { clock, unit } from "./text.js";
import { lowerBound } from "./store.js";

const NONE = "–";

/** A panel of lines, with a table of the values now, or at the moment pointed at, and of their extremes. */
export function linesPanel(given, store, view) {
  const spec = { ...given, series: together(given.series) };
  const { section, body } = frame(spec);
  const { full, axis, steps, least } = unit(spec.unit);
  const keys = spec.series.map(({ key }) => key);
  const looks = looksOf(spec, view.servers);
  const labels = names(spec);
  const lines = labels.map((label, index) => {
    const line = drawn(looks[index], view);
    return { label, ...line, fill: keys.length <= 2 ? () => `${line.stroke().slice(0, 7)}14` : undefined, points: { show: false, size: 4, filter: alone } };
  });
  const { u, place } = timePlot(body, spec.title, view, 168, {
    series: [{}, ...lines],
    scales: { y: { range: (_, low, high) => [Math.min(low ?? 0, 0), Math.max((high ?? 0) * 1.08, least)] } },
    axes: [{ incrs: steps, space: 32, values: (_, splits) => splits.map(axis) }],
    hooks: { setCursor: [() => table.update()] },
  });
  const table = valuesTable(spec, labels, looks, store, view, u, full);
  body.append(table.element);
  moveByKeys(place, u, view, (index) => keys.map((key, line) => `${labels[line]} ${said(store.values(key)[index], full)}`).join(", "));
  return {
    section,
    draw() {
      redraw(u, [store.t, ...keys.map((key) => store.values(key))], view);
      table.update();
    },
    recolor() {
      u.redraw(false, true);
      table.update();
    },
    end: () => endPlot(u),
  };
}

/** The lines of one heading side by side. */
function together(series) {
  const headings = [...new Set(series.map(heading))];
  return headings.flatMap((wanted) => series.filter((one) => heading(one) === wanted));
}

/** What several lines have in common: what is measured and, of slots, on which server. */
function heading({ measure, on }) {
  return on ? `${measure}, on ${on}` : measure;
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

function valuesTable(spec, labels, looks, store, view, u, full) {
  const when = element("th", { scope: "col" }, "now");
  const headings = spec.series.map(heading);
  // One line a heading needs none.
  const isGrouped = new Set(headings).size > 1 && new Set(headings).size < headings.length;
  const rows = spec.series.map(({ key, row }, index) => {
    const cells = ["value", "least", "most"].map((name) => element("td", { class: name }));
    const name = element("th", { scope: "row" }, swatch(looks[index]), isGrouped && row ? row : labels[index]);
    return { key, cells, look: looks[index], row: element("tr", {}, name, ...cells) };
  });
  const groups = [...new Set(headings)].map((text) => ({
    of: rows.filter((_, index) => headings[index] === text),
    row: element("tr", { class: "heading" }, element("th", { scope: "rowgroup", colspan: 4 }, text)),
  }));
  const table = element(
    "table",
    { class: "values" },
    element("caption", { class: "unseen" }, `${spec.title}: values now, and the least and most of the range`),
    element("thead", {}, element("tr", {}, element("th", { scope: "col" }, element("span", { class: "unseen" }, "line")), when, element("th", { scope: "col" }, "least"), element("th", { scope: "col" }, "most"))),
    element("tbody", {}, ...groups.flatMap((group) => [...(isGrouped ? [group.row] : []), ...group.of.map(({ row }) => row)])),
  );
  const update = () => {
    const { t } = store;
    const index = sampleAt(u, t, store.step);
    setText(when, index === null ? "now" : clock(t[index]));
    const isLate = t.length === 0 || view.now - t[t.length - 1] > 3.5 * store.step;
    const shown = index ?? (isLate ? null : t.length - 1);
    const first = lowerBound(t, view.from);
    for (const { key, cells, look, row } of rows) {
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
      // A slot that is gone, a server that has another part since: nothing is drawn of it.
      row.hidden = least === null;
      row.dataset.back = standsBack(look, view);
    }
    for (const group of groups) group.row.hidden = group.of.every(({ row }) => row.hidden);
  };
  return { element: table, update };
}
