// The servers: what each is, whom it follows and how far behind it is; and the legend of all plots.

import { element, keyed, setText } from "./elements.js";
import { lookOf, swatch } from "./looks.js";
import { bytes, called, seconds, since } from "./text.js";

const byId = (id) => document.getElementById(id);

/** Shows the servers. Those that follow one stand below it, and further in. */
export function showServers(servers, now, store, view) {
  keyed(byId("servers"), inOrder(servers), ({ server }) => server.name, ({ server }) => makeServer(server, servers), (child, { server, depth }) => {
    child.dataset.up = server.up ?? "unknown";
    child.style.setProperty("--depth", depth);
    setText(child.querySelector(".address"), server.address);
    setText(child.querySelector(".role"), server.role ?? "role not known");
    child.querySelector(".role").dataset.role = server.role ?? "none";
    const answers = (server.up ?? null) === null ? "not asked yet" : server.up ? "up" : "no answer";
    setText(child.querySelector(".when"), `${answers} ${(server.up ?? null) === null ? "" : since(server.since, now)}`.trim());
    setText(child.querySelector(".follows"), server.follows ? `follows ${called(server.follows, servers)}` : "");
    setText(child.querySelector(".lag"), server.role === "replica" && server.up ? lag(server.name, store, view) : "");
    setText(child.querySelector(".error"), server.error ?? "");
    child.querySelector(".error").hidden = !server.error;
    setText(child.querySelector(".named"), server.role === server.name ? "" : `; ${server.name} in /metrics`);
  });
}

/** The legend, whose buttons have one server stand out. */
export function showLegend(servers, view, choose) {
  keyed(byId("legend"), servers, ({ name }) => name, (server) => makeKey(server, servers, choose), (child, server) => {
    child.querySelector("button").setAttribute("aria-pressed", String(view.chosen === server.name));
    setText(child.querySelector(".name"), called(server.name, servers));
  });
}

/** Each server after whom it follows, and how many are above it. Who follows nobody that is known stands first. */
function inOrder(servers) {
  const order = [];
  const isListed = (name) => order.some(({ server }) => server.name === name);
  const add = (server, depth) => {
    if (isListed(server.name)) return;
    order.push({ server, depth });
    servers.filter(({ follows }) => follows === server.name).forEach((next) => add(next, depth + 1));
  };
  servers.filter(({ role, follows }) => role === "primary" && !follows).forEach((server) => add(server, 0));
  servers.filter(({ follows }) => !servers.some(({ name }) => name === follows)).forEach((server) => add(server, 0));
  // Replicas that follow each other.
  servers.forEach((server) => add(server, 0));
  return order;
}

function lag(name, store, view) {
  const last = store.t.length - 1;
  if (last < 0 || view.now - store.t[last] > 3.5 * store.step) return "";
  const [behind, age] = [`replay_lag_bytes@${name}`, `last_replayed_commit_timestamp_seconds:age@${name}`].map((key) => store.values(key)[last] ?? null);
  return [behind === null ? "" : `${bytes(behind)} behind`, age === null ? "" : `last commit ${seconds(age)} old`].filter(Boolean).join(", ");
}

function makeServer(server, servers) {
  return element(
    "li",
    { class: "server" },
    element("span", { class: "dot", "aria-hidden": "true" }),
    element("h3", {}, swatch(lookOf(server.name, servers)), element("span", { class: "address" })),
    element("p", { class: "role" }),
    element("p", { class: "follows" }),
    element("p", { class: "lag" }),
    element("p", { class: "about quiet" }, element("span", { class: "when" }), element("span", { class: "named" })),
    element("p", { class: "error", hidden: true }),
  );
}

function makeKey(server, servers, choose) {
  const button = element("button", { type: "button", "aria-pressed": "false" }, swatch(lookOf(server.name, servers)), element("span", { class: "name" }));
  button.addEventListener("click", () => choose(server.name));
  return element("li", {}, button);
}
