// Writes a run to the browser's database while it goes on, so that a reload loses no case that is done.

const PAUSE = 100; // milliseconds between two transactions
const ALIVE = 5_000; // milliseconds after which the record is written again if nothing has happened
const GONE = 3 * ALIVE;

export class Recorder {
  #store;
  #run;
  #size = 0;
  #cases = [];
  #spans = [];
  #request;
  #written = 0; // when the last transaction began
  #timer = null;
  #alive = null;
  #release = () => {};

  constructor(store, run, request) {
    this.#store = store;
    this.#run = run;
    this.#request = request;
    this.problem = ""; // why the run is not kept
    this.#size = JSON.stringify(request).length;
  }

  // Writes the run's record, and holds a lock by which other windows know that the run goes on here.
  async begin() {
    navigator.locks?.request(lockOf(this.#run.id), () => new Promise((resolve) => (this.#release = resolve)));
    this.#alive = setInterval(() => this.#soon(), ALIVE);
    await this.flush();
  }

  // Is called when a case is done.
  add(row) {
    this.#cases.push({ at: row.at, row });
    this.#size += JSON.stringify(row).length;
    this.#soon();
  }

  // Is called with the spans of a case, which are in the database only. `id` is that of its row.
  addSpans(id, spans, leftOut) {
    this.#spans.push({ id, spans, leftOut });
    this.#size += JSON.stringify(spans).length;
    this.#soon();
  }

  // Writes what has not been written yet. The browser keeps transactions in the order in which they began.
  async flush() {
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#written = performance.now();
    const [cases, spans, request] = [this.#cases, this.#spans, this.#request];
    [this.#cases, this.#spans, this.#request] = [[], [], null];
    await this.#write({ cases, spans, request });
  }

  async end() {
    clearInterval(this.#alive);
    // The rows of cases that were cancelled have not been added.
    for (const row of this.#run.rows) if (row.state === "cancelled") this.#cases.push({ at: row.at, row });
    await this.flush();
    this.#release();
    // A request that was refused is no run.
    if (!this.#run.rows.length && this.#run.state !== "finished") await this.#store.remove([this.#run.id]).catch(() => {});
    await this.#store.prune(this.#run.id).catch(() => {});
    this.#store.announce();
  }

  #soon() {
    this.#timer ??= setTimeout(() => this.flush(), Math.max(0, this.#written + PAUSE - performance.now()));
  }

  // Where the browser has no room, the oldest runs make it.
  async #write(written) {
    try {
      await this.#store.write({ ...this.#run.record(), size: this.#size, seen: Date.now() }, written);
    } catch (error) {
      const isFull = error?.name === "QuotaExceededError";
      if (isFull && (await this.#store.removeOldest(this.#run.id).catch(() => false))) return this.#write(written);
      this.problem = `This run is not kept in this browser: ${error?.message || error?.name || "its database does not answer"}`;
    }
    return undefined;
  }
}

const lockOf = (id) => `braintrust-evals ${id}`;

// Returns the record of a run as it is: one that is "running" in the database may have been left by its window. It is
// interrupted then, which is written down. If the run goes on elsewhere, `ended()` is called when that ends.
export async function settled(store, record, ended) {
  if (record.state !== "running") return record;
  if (await isHeld(record)) {
    whenLeft(record).then(ended);
    return record;
  }
  // The run may have ended since its record was read.
  const changed = await store.change(record.id, (now) => (now.state === "running" ? interrupted(now) : now));
  return { ...record, ...changed };
}

async function isHeld(record) {
  if (!navigator.locks) return Date.now() - record.seen <= GONE; // locks need https or localhost
  const { held } = await navigator.locks.query();
  return held.some(({ name }) => name === lockOf(record.id));
}

function whenLeft({ id }) {
  if (!navigator.locks) return new Promise((resolve) => setTimeout(resolve, GONE));
  return navigator.locks.request(lockOf(id), () => {});
}

function interrupted(record) {
  const of = record.total ? ` of ${record.total}` : "";
  const error = `The page was closed or loaded again when ${record.done}${of} cases were done. They are kept; the others were cancelled.`;
  return { ...record, state: "interrupted", error };
}
