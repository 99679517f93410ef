// The verdict with its findings.

import { element, keyed, setText } from "./elements.js";
import { ago, called, since } from "./text.js";

const byId = (id) => document.getElementById(id);
const SAYS = {
  ok: "nothing wrong",
  degraded: "it works, but not as it should",
  broken: "something does not work",
  unknown: "somebody could not be asked",
};

/** Shows what /api/state says. `now` is the server's time. */
export function showState(state, now) {
  const { verdict, findings, servers } = state;
  byId("verdict").dataset.verdict = verdict;
  setText(byId("verdict-word"), `${verdict}: ${sentence(state)}`);
  const looked = state.looked > 0 ? `looked ${ago(now - state.looked)}` : "nobody has looked yet";
  setText(byId("verdict-since"), [since(state.since, now), looked].filter(Boolean).join("; "));
  keyed(byId("findings"), together(findings), ({ code, server, next }) => `${code} ${server} ${next}`, makeFinding, (child, finding) => {
    child.dataset.severity = finding.severity;
    setText(child.querySelector(".code"), finding.code);
    setText(child.querySelector(".where"), places([finding.server], servers));
    child.querySelector(".on").hidden = finding.server === "all";
    setText(child.querySelector(".severity"), finding.severity);
    setText(child.querySelector(".when"), since(finding.since, now));
    keyed(child.querySelector(".evidence"), finding.evidences, (text) => text, () => element("li"), setText);
    setText(child.querySelector("code"), finding.next ?? "");
    child.querySelector(".next").hidden = !finding.next;
  });
  document.title = verdict === "ok" ? "Operations lab" : `${verdict} · Operations lab`;
}

/** What is mended by the same command is one thing to do: four jobs that are not scheduled. */
function together(findings) {
  const found = new Map();
  for (const finding of findings) {
    const key = JSON.stringify([finding.code, finding.server, finding.next]);
    const known = found.get(key);
    if (known === undefined) {
      found.set(key, { ...finding, evidences: [finding.evidence] });
    } else {
      known.evidences.push(finding.evidence);
      known.since = Math.min(known.since, finding.since);
    }
  }
  return [...found.values()];
}

function sentence({ verdict, findings, servers }) {
  if (verdict === "ok") return `${servers.length} servers asked, ${SAYS.ok}`;
  const worst = findings.filter(({ severity }) => severity === verdict);
  const shown = worst.length > 0 ? worst : findings;
  const codes = [...new Set(shown.map(({ code }) => code))];
  const where = (code) => shown.filter((finding) => finding.code === code).map(({ server }) => server);
  return codes.map((code) => [code, places(where(code), servers)].filter(Boolean).join(" on ")).join(", ") || (SAYS[verdict] ?? "");
}

/** What concerns no single server is said of all. */
function places(names, servers) {
  return [...new Set(names)].filter((name) => name !== "all").map((name) => called(name, servers)).join(" and ");
}

function makeFinding() {
  const command = element("code");
  const button = element("button", { type: "button", class: "copy" }, "Copy");
  button.addEventListener("click", () => copy(command, button));
  return element(
    "li",
    { class: "finding" },
    element(
      "h3",
      {},
      element("span", { class: "severity" }),
      element("span", { class: "code" }),
      element("span", { class: "on quiet" }, " on "),
      element("span", { class: "where" }),
    ),
    element("p", { class: "when quiet" }),
    element("ul", { class: "evidence" }),
    element("div", { class: "next" }, element("span", { class: "quiet" }, "Next"), command, button),
  );
}

/** Copies a command; where the browser forbids it, selects it, to be copied by hand. */
async function copy(command, button) {
  let done = "Copied";
  try {
    await navigator.clipboard.writeText(command.textContent);
  } catch {
    getSelection().selectAllChildren(command);
    done = document.execCommand("copy") ? "Copied" : "Selected";
  }
  button.textContent = done;
  setTimeout(() => {
    button.textContent = "Copy";
  }, 1500);
}
