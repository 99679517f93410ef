// Begins here.

import { setText } from "./elements.js";
import { loadsPanel } from "./loads.js";
import { showMarks, spans } from "./marks.js";
import { monthsPanel } from "./months.js";
import { pointAt } from "./panels.js";
import { linesPanel } from "./plots.js";
import { showLegend, showServers } from "./servers.js";
import { Store } from "./store.js";
import { Stream } from "./stream.js";
import { clock, duration, zone } from "./text.js";
import { timelinePanel } from "./timeline.js";
import { showState } from "./verdict.js";

const RANGES = { 5: "5 minutes", 15: "15 minutes", 60: "hour" };
const byId = (id) => document.getElementById(id);

const store = new Store();
/** What all plots show: from, to, the server's time, the marks; the servers, by which names are told; and the one that was chosen. */
const view = { from: 0, to: 0, now: Date.now(), step: store.step, marks: [], minutes: 15, servers: [], chosen: null };
let state = null;
let panels = [];
/** The server's clock minus this browser's. */
let ahead = 0;
let lostSince = null;
let isAsked = false;
/** Whether the server has told of its hour: before that nobody knows that nothing happened. */
let isTold = false;

const KINDS = { lines: linesPanel, bars: monthsPanel, timeline: timelinePanel };

/** Makes a panel anew only where the server lists it otherwise: with a slot more, or after a failover. */
function makePanels(list) {
  const made = list.map((spec) => {
    const shape = JSON.stringify(spec);
    const known = panels.find((panel) => panel.id === spec.id);
    if (known?.shape === shape) return known;
    const kind = spec.id === "loads" ? loadsPanel : (KINDS[spec.kind] ?? linesPanel);
    return { ...kind(spec, store, view), id: spec.id, shape };
  });
  if (made.length === panels.length && made.every((panel, at) => panel === panels[at])) return;
  panels.filter((panel) => !made.includes(panel)).forEach((panel) => panel.end());
  panels = made;
  byId("panels").replaceChildren(...panels.map(({ section }) => section));
}

function draw() {
  isAsked = false;
  view.now = Date.now() + ahead;
  const last = store.t[store.t.length - 1] ?? 0;
  // The newest sample is at the edge. When none comes, time goes on, and the gap is seen to grow.
  view.to = view.now - last < 3 * store.step ? last : view.now;
  view.from = view.to - view.minutes * 60000;
  view.step = store.step;
  Object.assign(byId("plots").dataset, { from: view.from, to: view.to, samples: store.t.length });
  view.marks = spans(store.marks.values(), view.now);
  showMarks(view.marks, view.now, pointAt, isTold);
  panels.forEach((panel) => panel.draw());
  showTimes();
}

/** Several events at once, one drawing; and none while nobody looks. */
function ask() {
  if (isAsked) return;
  isAsked = true;
  requestAnimationFrame(draw);
}

function showTimes() {
  view.now = Date.now() + ahead;
  if (state !== null) {
    const known = lostSince === null ? view.now : lostSince + ahead;
    showState(state, known);
    showServers(state.servers, known, store, view);
    showLegend(state.servers, view, choose);
  }
  const lost = byId("lost");
  lost.hidden = lostSince === null;
  document.body.classList.toggle("old", lostSince !== null);
  byId("connection").dataset.state = lostSince === null ? (state === null ? "asking" : "live") : "lost";
  if (lostSince === null) {
    setText(byId("connection-text"), state === null ? "Connecting" : `Live, ${clock(view.now)}`);
  } else {
    setText(lost, `Not connected since ${clock(lostSince)}: what you see is old. Trying again.`);
    setText(byId("connection-text"), `Not connected for ${duration(Date.now() - lostSince)}`);
  }
}

/** One server stands out in all plots; chosen once more, all do again. */
function choose(name) {
  view.chosen = view.chosen === name ? null : name;
  showLegend(view.servers, view, choose);
  panels.forEach((panel) => panel.recolor());
}

function setRange(minutes) {
  view.minutes = minutes;
  for (const button of document.querySelectorAll("[data-minutes]")) {
    button.setAttribute("aria-pressed", String(Number(button.dataset.minutes) === minutes));
  }
  setText(byId("range-text"), RANGES[minutes]);
  try {
    localStorage.setItem("minutes", String(minutes));
  } catch {
    // A browser that keeps nothing begins with a quarter of an hour each time.
  }
  ask();
}

const stream = new Stream({
  state(given) {
    state = given;
    view.servers = given.servers;
    ahead = given.now - Date.now();
    makePanels(given.panels);
    setText(byId("version"), `Version ${given.version}.`);
    ask();
  },
  history(given) {
    store.setHistory(given);
    isTold = true;
    ask();
  },
  sample(sample) {
    if (stream.isConnected && store.isGapBefore(sample.t)) stream.refresh();
    store.addSample(sample);
    ask();
  },
  mark(mark) {
    store.setMark(mark);
    ask();
  },
  run(run) {
    store.setRun(run);
    ask();
  },
  load(load) {
    store.setLoad(load);
    ask();
  },
  months(months) {
    store.months = months;
    ask();
  },
  connection(isConnected, since) {
    lostSince = isConnected ? null : since;
    showTimes();
    ask();
  },
});

for (const button of document.querySelectorAll("[data-minutes]")) {
  button.addEventListener("click", () => setRange(Number(button.dataset.minutes)));
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => panels.forEach((panel) => panel.recolor()));
setText(byId("zone"), `Times are in ${zone()}.`);
let begun = 15;
try {
  begun = Number(localStorage.getItem("minutes"));
} catch {
  // As above.
}
setRange(begun in RANGES ? begun : 15);
setInterval(() => {
  showTimes();
  // Also while nobody looks, and nothing is drawn.
  store.forget(view.now);
  // While nothing comes, the gap grows.
  if (lostSince !== null || view.now - (store.t[store.t.length - 1] ?? 0) > 3 * store.step) ask();
}, 1000);
stream.open();
