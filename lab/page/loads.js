// What operations_test_data() loads, and how far it is.

import { element, keyed, setText } from "./elements.js";
import { frame } from "./panels.js";
import { linesPanel } from "./plots.js";
import { clock, count, duration, place } from "./text.js";

/** A panel with a line and a bar for each load of the last hour, those that run first. */
export function loadsPanel(spec, store, view) {
  const lines = spec.series.length > 0 ? linesPanel(spec, store, view) : null;
  const { section, body } = lines === null ? frame(spec) : { section: lines.section, body: lines.section.querySelector(".body") };
  const list = element("ul", { class: "loads" });
  const empty = element("p", { class: "empty" }, "No test data were loaded in the last hour.");
  body.prepend(empty, list);
  return {
    section,
    draw() {
      lines?.draw();
      const loads = [...store.loads.values()].sort((a, b) => Number(isOver(a)) - Number(isOver(b)) || b.started - a.started);
      empty.hidden = loads.length > 0;
      keyed(list, loads, ({ id }) => id, makeLoad, (child, load) => update(child, load, view));
    },
    recolor: () => lines?.recolor(),
    end: () => lines?.end(),
  };
}

function isOver({ ended }) {
  return (ended ?? null) !== null;
}

function makeLoad() {
  return element("li", { class: "load" }, element("p", { class: "what" }), element("progress"), element("p", { class: "far quiet" }));
}

function update(child, load, view) {
  const { rows, total, started, ended } = load;
  const bar = child.querySelector("progress");
  setText(child.querySelector(".what"), load.text);
  bar.setAttribute("aria-label", load.text);
  child.dataset.over = isOver(load);
  if (total > 0) {
    bar.max = total;
    bar.value = Math.min(rows ?? 0, total);
  } else if (isOver(load)) {
    [bar.max, bar.value] = [1, 1];
  } else {
    bar.removeAttribute("value");
  }
  const took = (isOver(load) ? ended : view.now) - started;
  const rate = took > 1000 && rows > 0 ? `, ${count(Math.round((rows * 1000) / took))} rows/s` : "";
  const share = total > 0 ? `${Math.floor((100 * (rows ?? 0)) / total)} %, ${count(rows ?? 0)} of ${count(total)} rows` : rows > 0 ? `${count(rows)} rows` : "";
  const when = isOver(load) ? `${clock(started)}, took ${duration(took)}` : `since ${clock(started)}, ${duration(took)}`;
  setText(child.querySelector(".far"), [share + rate, place(load.server, view.servers), when].filter(Boolean).join("; "));
}
