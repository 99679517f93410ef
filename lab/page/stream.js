// The connection to the program that serves this page.

/** After this long without an event the connection counts as lost, whatever the browser says: a sample comes every 2 s. */
const SILENCE = 5000;
const RETRY = [500, 1000, 2000, 3000];

export class Stream {
  #source = null;
  #heard = 0;
  #tries = 0;
  #timer = null;
  #waiting = null;

  /** `on` has a function for each event: state, history, sample, mark, run, load, months; and `connection(state, since)`. */
  constructor(on) {
    this.on = on;
    this.isConnected = false;
    setInterval(() => this.#watch(), 1000);
    // A browser that knows it is offline says so at once, and one that slept may have a dead connection.
    addEventListener("offline", () => this.#lost());
    addEventListener("online", () => this.open());
    document.addEventListener("visibilitychange", () => this.#watch());
  }

  /** Connects, or connects anew. Events come first, so that none is missed between the history and them. */
  open() {
    clearTimeout(this.#timer);
    this.#source?.close();
    const source = new EventSource("/api/events");
    this.#source = source;
    this.#heard = Date.now();
    source.addEventListener("open", () => this.#catchUp(source));
    source.addEventListener("error", () => {
      if (source === this.#source) this.#lost();
    });
    for (const name of ["sample", "state", "mark", "run", "load", "months"]) {
      source.addEventListener(name, (event) => {
        if (source !== this.#source) return;
        this.#heard = Date.now();
        this.on[name](JSON.parse(event.data));
      });
    }
  }

  /** Asks for the hour once more: something was missed, as by a browser that was too slow. */
  refresh() {
    if (this.#source !== null) this.#catchUp(this.#source);
  }

  async #catchUp(source) {
    try {
      const [state, history] = await Promise.all([get("/api/state"), get("/api/history")]);
      if (source !== this.#source) return;
      this.on.history(history);
      this.on.state(state);
      this.#tries = 0;
      this.#heard = Date.now();
      if (!this.isConnected) {
        this.isConnected = true;
        this.#waiting = null;
        this.on.connection(true, Date.now());
      }
    } catch {
      if (source === this.#source) this.#lost();
    }
  }

  #watch() {
    if (this.#source !== null && Date.now() - this.#heard > SILENCE) this.#lost();
  }

  /** Says so, and tries again by itself: the browser's own attempts end with the first answer that is no stream. */
  #lost() {
    const since = this.isConnected ? this.#heard : null;
    this.#source?.close();
    this.#source = null;
    clearTimeout(this.#timer);
    const wait = RETRY[Math.min(this.#tries, RETRY.length - 1)];
    this.#tries += 1;
    this.#timer = setTimeout(() => this.open(), wait);
    if (this.isConnected || this.#waiting === null) {
      this.#waiting = since ?? Date.now();
      this.isConnected = false;
      this.on.connection(false, this.#waiting);
    }
  }
}

async function get(address) {
  const answer = await fetch(address, { cache: "no-store", signal: AbortSignal.timeout(SILENCE) });
  if (!answer.ok) throw new Error(`${address}: ${answer.status}`);
  return answer.json();
}
