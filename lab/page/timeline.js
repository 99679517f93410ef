// The runs of each job over time.

import { color, element, keyed, setText } from "./elements.js";
import { endPlot, frame, moveByKeys, redraw, timePlot } from "./panels.js";
import { clock, duration, place as placeOf } from "./text.js";

const LANE = 34;
const BASE = 46;

/** A panel with a lane for each job: a stroke for each run, what failed in red and taller. */
export function timelinePanel(spec, store, view) {
  const { section, body } = frame(spec);
  const jobs = new Map();
  const drawRuns = (u) => lanes(u, jobs, (runs, bottom) => strokes(u, runs, bottom, view));
  const drawNames = (u) => lanes(u, jobs, (_, bottom, job) => name(u, job, bottom));
  const { u, place } = timePlot(body, spec.title, view, BASE + 4 * LANE, { series: [{}], hooks: { draw: [drawRuns] }, above: drawNames });
  u.extra = (moment, near) => {
    const lane = Math.floor(u.cursor.top / LANE);
    const runs = [...jobs.values()][lane] ?? [];
    const run = runs.findLast(({ start, end }) => start - near <= moment && moment <= (end ?? view.now) + near);
    return run ? [{ color: runColor(run), text: runText(run, view) }] : [];
  };
  moveByKeys(place, u, view, () => "");
  const rows = element("tbody");
  body.append(
    element(
      "table",
      { class: "values jobs" },
      element("caption", { class: "unseen" }, `${spec.title}: runs of the range`),
      element("thead", {}, element("tr", {}, ...["job", "runs", "failed", "last", "took"].map((name) => element("th", { scope: "col" }, name)))),
      rows,
    ),
  );
  return {
    section,
    draw() {
      gather(jobs, store);
      const height = BASE + Math.max(jobs.size, 1) * LANE;
      if (u.height !== height) u.setSize({ width: u.width, height });
      redraw(u, [store.t], view);
      keyed(rows, [...jobs], ([job]) => job, makeRow, (row, [job, runs]) => updateRow(row, job, runs, view));
    },
    recolor: () => u.redraw(false, true),
    end: () => endPlot(u),
  };
}

/** The runs of each job in the order of their start; a job keeps its lane. */
function gather(jobs, store) {
  for (const runs of jobs.values()) runs.length = 0;
  for (const run of store.runs.values()) {
    if (!jobs.has(run.job)) jobs.set(run.job, []);
    jobs.get(run.job).push(run);
  }
  for (const runs of jobs.values()) runs.sort((a, b) => a.start - b.start);
}

function runColor({ ok }) {
  if (ok === null || ok === undefined) return color("line-2");
  return ok ? color("line-1") : color("broken");
}

function runText({ job, start, end, ok, message, server }, { now, servers }) {
  const took = end ? `took ${duration(end - start)}` : `runs since ${duration(now - start)}`;
  const became = ok === false ? "failed" : ok ? "ok" : "no end seen";
  return [`${job} ${clock(start)}`, took, end ? became : null, placeOf(server, servers), message].filter(Boolean).join(", ");
}

/** Calls `draw` for each lane, with the runs, the lane's lower edge and the job. */
function lanes(u, jobs, draw) {
  const { ctx, bbox } = u;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  [...jobs].forEach(([job, runs], lane) => draw(runs, bbox.top + (lane + 1) * LANE * devicePixelRatio, job));
  ctx.restore();
}

function strokes(u, runs, bottom, view) {
  const { ctx, bbox } = u;
  const ratio = devicePixelRatio;
  ctx.fillStyle = color("line");
  ctx.fillRect(bbox.left, bottom - ratio, bbox.width, ratio);
  // What failed is drawn last: no success may cover it.
  for (const isFailure of [false, true]) {
    for (const run of runs) {
      const until = run.end ?? view.now;
      if (until < view.from || (run.ok === false) !== isFailure) continue;
      const x = u.valToPos(run.start, "x", true);
      const width = Math.max(u.valToPos(until, "x", true) - x, (isFailure ? 3 : 1.2) * ratio);
      const height = (isFailure ? 16 : 10) * ratio;
      ctx.fillStyle = runColor(run);
      ctx.fillRect(x, bottom - 3 * ratio - height, width, height);
    }
  }
}

function name(u, job, bottom) {
  const { ctx, bbox } = u;
  const ratio = devicePixelRatio;
  ctx.font = `${11 * ratio}px system-ui, sans-serif`;
  ctx.textAlign = "left";
  ctx.textBaseline = "top";
  const [left, top] = [bbox.left + 4 * ratio, bottom - (LANE - 3) * ratio];
  // A line that a mark draws through a name makes it hard to read.
  ctx.globalAlpha = 0.85;
  ctx.fillStyle = color("card");
  ctx.fillRect(left - 2 * ratio, top - ratio, ctx.measureText(job).width + 4 * ratio, 14 * ratio);
  ctx.globalAlpha = 1;
  ctx.fillStyle = color("text");
  ctx.fillText(job, left, top);
}

function makeRow() {
  return element("tr", {}, element("th", { scope: "row" }), ...["runs", "failed", "last", "took"].map((name) => element("td", { class: name })));
}

function updateRow(row, job, runs, view) {
  const inRange = runs.filter(({ start, end }) => (end ?? view.now) >= view.from && start <= view.to);
  const failed = inRange.filter(({ ok }) => ok === false);
  const last = runs[runs.length - 1];
  setText(row.querySelector("th"), job);
  setText(row.querySelector(".runs"), String(inRange.length));
  setText(row.querySelector(".failed"), String(failed.length));
  row.dataset.failed = failed.length > 0;
  setText(row.querySelector(".last"), last ? clock(last.start) : "–");
  setText(row.querySelector(".took"), last ? (last.end ? duration(last.end - last.start) : "runs") : "–");
  row.title = failed.length > 0 ? (failed[failed.length - 1].message ?? "") : "";
}
