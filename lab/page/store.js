// The last hour, as the page knows it. Times are in milliseconds; a gap is null.

const KEPT = 61 * 60 * 1000;

export class Store {
  constructor() {
    this.step = 2000;
    /** Times of the samples, and for each series one value for each time. */
    this.t = [];
    this.series = new Map();
    this.marks = new Map();
    this.runs = new Map();
    this.loads = new Map();
    this.months = [];
  }

  /** Takes the server's hour. What this page has seen before that stays: a server that was started anew knows nothing of it. */
  setHistory(history) {
    const { t, series } = this;
    const first = history.t.length > 0 ? history.t[0] : Infinity;
    const kept = lowerBound(t, first);
    this.step = history.step || this.step;
    this.t = [];
    this.series = new Map();
    for (let row = 0; row < kept; row += 1) this.#push(t[row], [...series].map(([key, values]) => [key, values[row]]));
    const columns = Object.entries(history.series);
    history.t.forEach((at, row) => this.#push(at, columns.map(([key, values]) => [key, values[row]])));
    const later = history.t.length > 0 ? history.t[history.t.length - 1] : -Infinity;
    // Samples that came while the history was on its way.
    t.forEach((at, row) => {
      if (row >= kept && at > later) this.#push(at, [...series].map(([key, values]) => [key, values[row]]));
    });
    history.marks.forEach((mark) => this.setMark(mark));
    history.runs.forEach((run) => this.setRun(run));
    history.loads.forEach((load) => this.setLoad(load));
    this.months = history.months;
  }

  /** Whether samples were missed before one of this time. */
  isGapBefore(t) {
    return this.t.length > 0 && t - this.t[this.t.length - 1] > 2.5 * this.step;
  }

  addSample({ t, values }) {
    if (this.t.length > 0 && t <= this.t[this.t.length - 1]) return;
    this.#push(t, Object.entries(values));
  }

  #push(t, values) {
    const last = this.t[this.t.length - 1];
    // Nobody looked meanwhile: no line is drawn across.
    if (last !== undefined && t - last > 3.5 * this.step) this.#row(last + this.step, []);
    this.#row(t, values);
  }

  #row(t, values) {
    this.t.push(t);
    for (const [key, value] of values) this.#column(key)[this.t.length - 1] = value ?? null;
    for (const column of this.series.values()) if (column.length < this.t.length) column.push(null);
  }

  #column(key) {
    if (!this.series.has(key)) this.series.set(key, Array(this.t.length).fill(null));
    return this.series.get(key);
  }

  /** The values of a series, one for each time; all null where nothing is known of it. */
  values(key) {
    return this.#column(key);
  }

  setMark(mark) {
    this.marks.set(mark.id, mark);
  }

  setRun(run) {
    this.runs.set(`${run.job} ${run.start} ${run.server}`, run);
  }

  setLoad(load) {
    this.loads.set(load.id, load);
  }

  /** Forgets what is older than an hour. */
  forget(now) {
    const oldest = now - KEPT;
    const gone = lowerBound(this.t, oldest);
    // In few large steps: moving arrays costs more than keeping a minute longer.
    if (gone > 30) {
      this.t.splice(0, gone);
      for (const column of this.series.values()) column.splice(0, gone);
    }
    const isOver = (end) => end !== null && end !== undefined && end < oldest;
    for (const [id, { t, end }] of this.marks) if (isOver(end ?? t)) this.marks.delete(id);
    for (const [id, { end }] of this.runs) if (isOver(end)) this.runs.delete(id);
    for (const [id, { ended }] of this.loads) if (isOver(ended)) this.loads.delete(id);
  }
}

/** The first position whose time is at least this. */
export function lowerBound(times, t) {
  let [low, high] = [0, times.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] < t) low = middle + 1;
    else high = middle;
  }
  return low;
}
