// Numbers with their units, and times.

const PLAIN = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

function rounded(value) {
  const size = Math.abs(value);
  const digits = size >= 100 || Number.isInteger(value) ? 0 : size >= 10 ? 1 : 2;
  return new Intl.NumberFormat("en", { maximumFractionDigits: digits }).format(value);
}

const BYTES = ["B", "kB", "MB", "GB", "TB", "PB"];

/** As PostgreSQL prints sizes: kB is 1024 bytes. */
export function bytes(value) {
  let [power, size] = [0, Math.abs(value)];
  while (size >= 1024 && power < BYTES.length - 1) [power, size] = [power + 1, size / 1024];
  return `${value < 0 ? "-" : ""}${rounded(size)} ${BYTES[power]}`;
}

/** A duration in seconds, in the largest unit that leaves a number to be read. */
export function seconds(value) {
  const size = Math.abs(value);
  if (size === 0) return "0 s";
  if (size < 0.001) return `${rounded(value * 1e6)} µs`;
  if (size < 1) return `${rounded(Math.round(value * 1e4) / 10)} ms`;
  if (size < 120) return `${rounded(value)} s`;
  if (size < 2 * 3600) return `${rounded(value / 60)} min`;
  if (size < 2 * 86400) return `${rounded(value / 3600)} h`;
  return `${rounded(value / 86400)} days`;
}

export function count(value) {
  return Math.abs(value) >= 100 ? PLAIN.format(value) : rounded(value);
}

function short(value) {
  const size = Math.abs(value);
  if (size >= 1e9) return `${rounded(value / 1e9)} G`;
  if (size >= 1e6) return `${rounded(value / 1e6)} M`;
  if (size >= 1e3) return `${rounded(value / 1e3)} k`;
  return rounded(value);
}

/** Steps between the lines of an axis: round numbers in the unit that is printed. */
function decimalSteps(from, to) {
  const steps = [];
  for (let power = from; power <= to; power += 1) for (const digit of [1, 2, 5]) steps.push(digit * 10 ** power);
  return steps;
}
const BINARY_STEPS = Array.from({ length: 55 }, (_, power) => 2 ** power);
const TIME_STEPS = [...decimalSteps(-6, -1), 1, 2, 5, 10, 20, 30, 60, 120, 180, 300, 600, 1200, 1800, 3600, 7200, 14400, 43200, 86400, 172800, 432000, 864000, 8640000];

const UNITS = {
  bytes: { full: bytes, axis: bytes, steps: BINARY_STEPS, least: 1024 },
  "bytes/s": { full: (value) => `${bytes(value)}/s`, axis: (value) => `${bytes(value)}/s`, steps: BINARY_STEPS, least: 1024 },
  s: { full: seconds, axis: seconds, steps: TIME_STEPS, least: 0.01 },
  "ops/s": { full: (value) => `${count(value)}/s`, axis: (value) => `${short(value)}/s`, steps: decimalSteps(-3, 9), least: 1 },
  "count/s": { full: (value) => `${count(value)}/s`, axis: (value) => `${short(value)}/s`, steps: decimalSteps(-3, 9), least: 0.5 },
  rows: { full: count, axis: short, steps: decimalSteps(0, 14), least: 4 },
  count: { full: count, axis: short, steps: decimalSteps(0, 14), least: 4 },
};

/** How values of a unit are printed, in full and beside an axis, and the least that an axis spans. */
export function unit(name) {
  const other = { full: (value) => `${count(value)} ${name ?? ""}`.trim(), axis: short, steps: decimalSteps(-6, 14), least: 1 };
  return UNITS[name] ?? other;
}

const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const DAY_CLOCK = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit" });

/** The time of day; with the day where that could be another one. */
export function clock(ms) {
  const isNear = Math.abs(Date.now() - ms) < 12 * 3600 * 1000;
  return (isNear ? CLOCK : DAY_CLOCK).format(new Date(ms));
}

/** How long something takes or took. */
export function duration(ms) {
  const whole = Math.max(0, Math.round(ms / 1000));
  if (ms < 1) return "<1 ms";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (whole < 100) return `${whole} s`;
  if (whole < 6000) return `${Math.round(whole / 60)} min`;
  if (whole < 100 * 3600) return `${Math.round(whole / 3600)} h`;
  return `${Math.round(whole / 86400)} days`;
}

/** Since when something is so; nothing where that is not known. */
export function since(t, now) {
  return t > 0 ? `since ${clock(t)}, ${now - t < 1000 ? "just now" : duration(now - t)}` : "";
}

/** How long ago something was. */
export function ago(ms) {
  return ms < 1000 ? "just now" : `${duration(ms)} ago`;
}

/** The browser's zone, which all times of the page are in. */
export function zone() {
  const part = new Intl.DateTimeFormat("en-GB", { timeZoneName: "short" }).formatToParts(new Date());
  return part.find(({ type }) => type === "timeZoneName")?.value ?? "this browser's zone";
}

/** A server by what it is now, and where. Its name is of the beginning: after a failover it would be wrong. */
export function called(name, servers) {
  return servers.find((server) => server.name === name)?.called ?? name;
}

/** Where a server is, for what happened there when it may have been something else. */
export function place(name, servers) {
  return servers.find((server) => server.name === name)?.address ?? name;
}
