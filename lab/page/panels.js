// What every panel has: a heading, a sentence, a table of its values; and what all plots share: the range, the moment, the marks.

import { color, element, setText } from "./elements.js";
import { at, drawBands, drawLines, markColor } from "./marks.js";
import { clock } from "./text.js";
import uPlot from "./uplot.js";

const AXIS_WIDTH = 62;
export const SYNC = uPlot.sync("plots");
/** All plots of the page; and the one that is pointed at. */
const plots = new Set();
let pointed = null;
const hint = element("div", { class: "hint", "aria-hidden": "true", hidden: true });
const spoken = element("p", { class: "spoken", role: "status" });
document.body.append(hint, spoken);

/** Ends a plot that another one replaces. */
export function endPlot(u) {
  if (u === pointed) {
    pointed = null;
    hint.hidden = true;
  }
  plots.delete(u);
  u.destroy();
}

/** The frame of a panel: `body` is where its kind draws. */
export function frame({ id, title, help }) {
  const body = element("div", { class: "body" });
  const section = element(
    "section",
    { class: "card panel", id: `panel-${id}`, "aria-labelledby": `heading-${id}` },
    element("h3", { id: `heading-${id}` }, title),
    element("p", { class: "help quiet" }, help ?? ""),
    body,
  );
  return { section, body };
}

/** A plot over time, of any kind. `view` has from, to (ms), marks; `more` are options of its kind, and `above` draws last. */
export function timePlot(body, title, view, height, more) {
  const place = element("div", { class: "plot", tabindex: "0", role: "img", "aria-label": `Plot: ${title}. The table has its values; the arrow keys go back in time.` });
  body.append(place);
  const { hooks = {}, axes = [], scales = {}, above, ...others } = more;
  const axis = { stroke: () => color("quiet"), font: "11px system-ui, sans-serif", ticks: { show: false } };
  const options = {
    width: Math.max(place.clientWidth, 200),
    height,
    ms: 1,
    legend: { show: false },
    padding: [10, 22, 0, axes.length === 0 ? AXIS_WIDTH : 0],
    cursor: { sync: { key: "plots", setSeries: false }, drag: { x: false, y: false, setScale: false }, y: false, points: { size: 6 } },
    scales: { x: { time: true, range: () => [view.from, view.to] }, ...scales },
    axes: [
      { ...axis, size: 26, gap: 4, space: 64, grid: { show: false }, values: (u, splits, _, __, step) => splits.map((t) => moment(t, step)) },
      ...axes.map((given) => ({ ...axis, size: AXIS_WIDTH, gap: 6, grid: { stroke: () => color("line"), width: 1 }, ...given })),
    ],
    hooks: {
      ...hooks,
      drawClear: [(u) => drawBands(u, view.marks), ...(hooks.drawClear ?? [])],
      draw: [...(hooks.draw ?? []), (u) => drawLines(u, view.marks), ...(above ? [above] : [])],
      setCursor: [...(hooks.setCursor ?? []), (u) => showHint(u, view)],
    },
    ...others,
  };
  const u = new uPlot(options, [[], ...others.series.slice(1).map(() => [])], place);
  plots.add(u);
  u.over.addEventListener("mouseenter", () => {
    pointed = u;
  });
  u.over.addEventListener("mouseleave", () => {
    pointed = null;
    hint.hidden = true;
  });
  new ResizeObserver(() => {
    if (place.clientWidth > 0 && place.clientWidth !== u.width) u.setSize({ width: place.clientWidth, height: u.height });
  }).observe(place);
  return { u, place };
}

function moment(t, step) {
  return step < 60000 ? clock(t) : clock(t).slice(0, -3);
}

/** Redraws a plot with its data at the present range. */
export function redraw(u, data, view) {
  u.batch(() => {
    u.setData(data, false);
    u.setScale("x", { min: view.from, max: view.to });
  });
  if (u === pointed) showHint(u, view);
}

/** Shows a moment in all plots; null goes back to now. */
export function pointAt(t) {
  for (const u of plots) {
    const left = t === null ? -10 : u.valToPos(t, "x");
    u.setCursor({ left, top: t === null ? -10 : 0 });
  }
}

/** The moment that the cursor of a plot is at, or null. */
export function momentOf(u) {
  const { left } = u.cursor;
  return left === undefined || left === null || left < 0 ? null : u.posToVal(left, "x");
}

/** The nearest sample to the cursor, or null: not one from the other side of a gap. */
export function sampleAt(u, t, step) {
  const wanted = momentOf(u);
  if (wanted === null || t.length === 0) return null;
  const index = u.posToIdx(u.cursor.left);
  return Math.abs(t[index] - wanted) <= 2 * step ? index : null;
}

/** What was on at the moment that is pointed at. `extra` of a plot adds lines of its own. */
function showHint(u, view) {
  if (u !== pointed) return;
  const wanted = momentOf(u);
  const near = wanted === null ? 0 : (view.to - view.from) * (6 / Math.max(u.bbox.width / devicePixelRatio, 1));
  const lines = wanted === null ? [] : at(view.marks, wanted, near).slice(-6).map((mark) => ({ color: markColor(mark), text: `${clock(mark.t)} ${mark.text}` }));
  if (wanted !== null && u.extra) lines.unshift(...u.extra(wanted, near));
  hint.hidden = lines.length === 0;
  if (lines.length === 0) return;
  hint.replaceChildren(
    ...lines.map((line) => {
      const text = element("p", {}, line.text);
      text.style.setProperty("--mark", line.color);
      return text;
    }),
  );
  const box = u.over.getBoundingClientRect();
  const width = Math.min(340, innerWidth - 16);
  hint.style.maxWidth = `${width}px`;
  const x = box.left + u.cursor.left;
  const left = x + 14 + hint.offsetWidth > innerWidth ? x - 14 - hint.offsetWidth : x + 14;
  hint.style.left = `${Math.max(8, left)}px`;
  // Above the lines, and below the table where there is no room.
  const above = box.top - hint.offsetHeight - 8;
  hint.style.top = `${above > 8 ? above : box.bottom + 30}px`;
}

/** Lets the arrow keys move the moment of all plots, and says it. `say(index)` is what the plot shows there. */
export function moveByKeys(place, u, view, say) {
  const forward = { ArrowLeft: -1, ArrowRight: 1, PageUp: -15, PageDown: 15 };
  place.addEventListener("keydown", (event) => {
    if (event.key === "Escape") return pointAt(null);
    const by = forward[event.key];
    const [t] = u.data;
    if (by === undefined || t.length === 0) return;
    event.preventDefault();
    const index = momentOf(u) === null ? t.length - 1 : Math.min(Math.max(u.posToIdx(u.cursor.left) + by, 0), t.length - 1);
    const wanted = Math.max(t[index], view.from);
    pointAt(wanted);
    const marks = at(view.marks, wanted, view.step).map(({ text }) => text);
    setText(spoken, [`${clock(wanted)}: ${say(index)}`, ...marks].join("; "));
  });
  place.addEventListener("blur", () => pointAt(null));
}
