// How lines are told apart: a server looks the same in every plot, and in the legend.

import { color, element } from "./elements.js";

/** Colours of servers that are told apart by the colour-blind, too; past them a line is dashed, and then dotted. */
const SERVER_COLORS = 5;
const OTHER_COLORS = 6;
const DASHES = [undefined, [7, 4], [2, 3]];
const [WIDE, THIN, FAINT] = [1.8, 0.9, "2b"];
/** The places of lines that are no server's, by panel and key: a line keeps its colour when a failover brings others. */
const places = new Map();

function placeOf(panel, key) {
  if (!places.has(panel)) places.set(panel, new Map());
  const known = places.get(panel);
  if (!known.has(key)) known.set(key, known.size);
  return known.get(key);
}

/** The look of a server, by its place among all of them. */
export function lookOf(name, servers) {
  const place = Math.max(servers.findIndex((server) => server.name === name), 0);
  return { color: `server-${(place % SERVER_COLORS) + 1}`, dash: Math.floor(place / SERVER_COLORS) % DASHES.length, isThin: false };
}

/** The looks of a panel's lines. Of several measures of one server the first is drawn wide, and the others thin. */
export function looksOf({ id, series }, servers) {
  const measures = [...new Set(series.map(({ measure }) => measure))];
  return series.map(({ key, measure, server }) => {
    if (server) return { ...lookOf(server, servers), isThin: measure !== measures[0], server };
    const place = placeOf(id, key);
    return { color: `line-${(place % OTHER_COLORS) + 1}`, dash: Math.floor(place / OTHER_COLORS) % DASHES.length, isThin: false };
  });
}

/** Whether a line stands back: another server was chosen. */
export function standsBack({ server }, view) {
  return view.chosen !== null && server !== undefined && server !== view.chosen;
}

/** The options of a line for uPlot. */
export function drawn(look, view) {
  return {
    stroke: () => color(look.color) + (standsBack(look, view) ? FAINT : ""),
    width: look.isThin ? THIN : WIDE,
    dash: DASHES[look.dash],
  };
}

/** A piece of such a line, for a legend. */
export function swatch(look) {
  const made = element("span", { class: "swatch", "aria-hidden": "true" });
  Object.assign(made.dataset, { dash: look.dash, thin: look.isThin });
  made.style.setProperty("--stroke", `var(--${look.color})`);
  return made;
}
