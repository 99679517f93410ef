// What happened: the list, and how it is drawn in each plot.

import { color, element, keyed, setText } from "./elements.js";
import { clock, duration } from "./text.js";

const KINDS = { verdict: "verdict", drill: "drill", failover: "failover", load: "load", role: "role", server: "server" };
const LISTED = 200;
/** Where marks are close together, what somebody did is drawn over what came of it. */
const DRAWN = ["verdict", "server", "role", "load", "failover", "drill"];

/** The colour of a mark. A verdict's text begins with its word. */
export function markColor({ kind, text }) {
  if (kind !== "verdict") return color(`mark-${KINDS[kind] ?? "server"}`);
  return color(word(text));
}

function word(text) {
  return ["ok", "degraded", "broken", "unknown"].find((known) => text.startsWith(known)) ?? "unknown";
}

/** Whether something without an end goes on: a drill, a load, a server that is away. A role changes at once. */
function lasts({ kind }) {
  return kind !== "role" && kind !== "verdict";
}

/** Marks with the time at which each ends: an open one goes on. A verdict ends where the next begins. */
export function spans(marks, now) {
  const sorted = [...marks].sort((a, b) => a.t - b.t);
  let next = null;
  return sorted
    .reverse()
    .map((mark) => {
      let until = mark.end ?? null;
      if (until === null && lasts(mark)) until = now;
      if (mark.kind === "verdict") {
        until = mark.end > mark.t ? mark.end : (next ?? now);
        next = mark.t;
      }
      return { ...mark, until };
    })
    .reverse();
}

/** The marks at a moment: those that were on then, and those whose line is near. */
export function at(list, moment, near) {
  return list.filter(({ t, until, kind, text }) => {
    if (kind === "verdict" && word(text) === "ok") return Math.abs(t - moment) <= near;
    return (until !== null && t <= moment && moment <= until) || Math.abs(t - moment) <= near;
  });
}

/** Draws under the lines: how long each lasted, and above all the verdict as a ribbon. */
export function drawBands(u, list) {
  const { ctx, bbox } = u;
  const ribbon = Math.round(4 * devicePixelRatio);
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top - ribbon, bbox.width, bbox.height + ribbon);
  ctx.clip();
  for (const mark of list) {
    if (mark.until === null) continue;
    const from = u.valToPos(mark.t, "x", true);
    const width = Math.max(u.valToPos(mark.until, "x", true) - from, 1);
    ctx.fillStyle = markColor(mark);
    if (mark.kind === "verdict") {
      if (word(mark.text) === "ok") continue;
      ctx.globalAlpha = 1;
      ctx.fillRect(from, bbox.top - ribbon, width, ribbon);
      ctx.globalAlpha = 0.04;
    } else {
      ctx.globalAlpha = 0.07;
    }
    ctx.fillRect(from, bbox.top, width, bbox.height);
  }
  ctx.restore();
}

/** Draws over the lines: where each begins, with a flag. */
export function drawLines(u, list) {
  const { ctx, bbox } = u;
  const size = 4 * devicePixelRatio;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left - size, bbox.top - size, bbox.width + 2 * size, bbox.height + size);
  ctx.clip();
  ctx.lineWidth = devicePixelRatio;
  for (const mark of [...list].sort((a, b) => DRAWN.indexOf(a.kind) - DRAWN.indexOf(b.kind))) {
    const x = Math.round(u.valToPos(mark.t, "x", true)) + 0.5;
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.strokeStyle = markColor(mark);
    ctx.fillStyle = ctx.strokeStyle;
    ctx.globalAlpha = mark.kind === "verdict" ? 0.35 : 0.6;
    ctx.setLineDash(mark.kind === "verdict" ? [2 * devicePixelRatio, 3 * devicePixelRatio] : []);
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    if (mark.kind === "verdict") continue;
    ctx.globalAlpha = 1;
    ctx.beginPath();
    ctx.moveTo(x - size, bbox.top);
    ctx.lineTo(x + size, bbox.top);
    ctx.lineTo(x, bbox.top + 1.6 * size);
    ctx.fill();
  }
  ctx.restore();
}

/** The list, newest first. `point` is called with a time to show in the plots, or null. That there is none is said once it is known. */
export function showMarks(list, now, point, isTold) {
  const target = document.getElementById("marks");
  const newest = [...list].sort((a, b) => b.t - a.t || (a.id < b.id ? 1 : -1)).slice(0, LISTED);
  document.getElementById("marks-empty").hidden = newest.length > 0 || !isTold;
  document.getElementById("marks-scroll").hidden = newest.length === 0;
  const make = (mark) => {
    const button = element("button", { type: "button", class: "mark", title: "Show this moment in the plots" });
    button.append(element("time"), element("span", { class: "kind" }), element("span", { class: "text" }), element("span", { class: "lasted quiet" }));
    const show = () => point(mark.t);
    button.addEventListener("click", show);
    button.addEventListener("focus", show);
    button.addEventListener("mouseenter", show);
    button.addEventListener("mouseleave", () => point(null));
    button.addEventListener("blur", () => point(null));
    return element("li", {}, button);
  };
  keyed(target, newest, ({ id }) => id, make, (child, mark) => {
    const moment = child.querySelector("time");
    moment.dateTime = new Date(mark.t).toISOString();
    setText(moment, clock(mark.t));
    const kind = child.querySelector(".kind");
    kind.dataset.kind = mark.kind === "verdict" ? word(mark.text) : mark.kind;
    setText(kind, KINDS[mark.kind] ?? mark.kind);
    setText(child.querySelector(".text"), mark.text);
    setText(child.querySelector(".lasted"), lasted(mark, now));
  });
}

function lasted(mark, now) {
  if (mark.kind === "verdict") return "";
  if ((mark.end ?? null) !== null) return mark.end > mark.t ? duration(mark.end - mark.t) : "";
  return lasts(mark) ? `goes on, ${duration(now - mark.t)}` : "";
}
