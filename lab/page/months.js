// Rows by month, as bars: new ones on top of done ones.

import { element, keyed, setText } from "./elements.js";
import { swatch } from "./looks.js";
import { frame } from "./panels.js";
import { count } from "./text.js";

const NAMES = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** A panel with a bar for each month, and the same as a table. */
export function monthsPanel(spec, store) {
  const { section, body } = frame(spec);
  const bars = element("div", { class: "bars", "aria-hidden": "true" });
  const most = element("p", { class: "highest quiet", "aria-hidden": "true" });
  const rows = element("tbody");
  const table = element(
    "table",
    { class: "values" },
    element("caption", { class: "unseen" }, spec.title),
    element("thead", {}, element("tr", {}, ...["month", "new", "done", "all"].map((name) => element("th", { scope: "col" }, name)))),
    rows,
  );
  const legend = element("p", { class: "key" }, key("line-1"), "done ", key("line-2"), "new");
  body.append(most, bars, legend, element("details", {}, element("summary", {}, "As a table"), table));
  return {
    section,
    draw() {
      const { months } = store;
      const highest = Math.max(1, ...months.map((month) => month.new + month.done));
      setText(most, `${count(highest)} rows`);
      keyed(bars, months, ({ month }) => month, makeBar, (bar, month) => {
        const height = (part) => `${(100 * part) / highest}%`;
        bar.querySelector(".done").style.height = height(month.done);
        bar.querySelector(".new").style.height = height(month.new);
        const [year, number] = month.month.split("-").map(Number);
        bar.title = `${month.month}: ${count(month.new)} new, ${count(month.done)} done`;
        setText(bar.querySelector(".name"), NAMES[number - 1] ?? month.month);
        setText(bar.querySelector(".year"), number === 1 || month === months[0] ? String(year) : "");
        bar.dataset.quarter = number % 3 === 1;
      });
      keyed(rows, months, ({ month }) => month, makeRow, (row, month) => {
        const cells = [month.month, count(month.new), count(month.done), count(month.new + month.done)];
        [...row.children].forEach((cell, index) => setText(cell, cells[index]));
      });
    },
    recolor() {},
    end() {},
  };
}

function key(color) {
  return swatch({ color, dash: 0, isThin: false });
}

function makeBar() {
  const column = element("div", { class: "column" }, element("div", { class: "new" }), element("div", { class: "done" }));
  return element("div", { class: "month" }, column, element("span", { class: "name" }), element("span", { class: "year" }));
}

function makeRow() {
  return element("tr", {}, element("th", { scope: "row" }), element("td"), element("td"), element("td"));
}
