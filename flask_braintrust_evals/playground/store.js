// Keeps runs and what was entered in forms in the browser's own database. Applications at the same address have
// their own. A run is written while it goes on: its record, and each of its cases when that is done.

const NAME = "braintrust-evals";
const VERSION = 2;
export const KEPT = 50; // runs of each evaluator, apart from those with a label
export const MOST = 200_000_000; // characters of all runs together

export class Store {
  application;
  #opened = null;
  #channel = "BroadcastChannel" in globalThis ? new BroadcastChannel(NAME) : null;

  constructor(application) {
    this.application = application;
  }

  // Calls the listener when another window has changed the runs.
  onChange(listener) {
    this.#channel?.addEventListener("message", listener);
  }

  // Returns the records of an evaluator's runs, the newest first.
  async runs(evaluator) {
    const runs = await this.#ask("runs", (store) => store.index("evaluator").getAll([this.application, evaluator]));
    return runs.sort(newestFirst);
  }

  // Returns the record of a run, or undefined if there is none.
  async record(id) {
    const record = await this.#ask("runs", (store) => store.get(id));
    return record?.application === this.application ? record : undefined;
  }

  rows(id) {
    return this.#ask("cases", (store) => store.getAll(all(id))).then((found) => found.map(({ row }) => row));
  }

  // Returns { spans, leftOut } of one case, or undefined.
  spans(run, id) {
    return this.#ask("spans", (store) => store.get([run, id]));
  }

  // Returns the body of the request that a run was started with.
  request(run) {
    return this.#ask("requests", (store) => store.get(run)).then((found) => found?.body);
  }

  // Writes in one transaction, all of it or nothing. `cases` is a list of { at, row }, and `spans` one of
  // { id, spans, leftOut }, where id is that of the row.
  async write(record, { cases = [], spans = [], request = null } = {}) {
    const kept = { ...record, application: this.application };
    await this.#change(["runs", "cases", "spans", "requests"], (store) => {
      store("runs").put(kept);
      for (const { at, row } of cases) store("cases").put({ run: kept.id, at, row });
      for (const each of spans) store("spans").put({ ...each, run: kept.id });
      if (request) store("requests").put({ run: kept.id, body: request });
    });
  }

  // Changes some fields of a run's record.
  async update(id, fields) {
    const record = await this.record(id);
    if (record) await this.write({ ...record, ...fields });
    this.announce();
  }

  async remove(ids) {
    await this.#change(["runs", "cases", "spans", "requests"], (store) => {
      for (const id of ids) {
        for (const name of ["runs", "requests"]) store(name).delete(id);
        for (const name of ["cases", "spans"]) store(name).delete(all(id));
      }
    });
    this.announce();
  }

  // Removes the oldest runs without a label where there are too many, or where all runs are too large.
  async prune(except) {
    const runs = (await this.#ask("runs", (store) => store.getAll())).sort(newestFirst);
    const found = surplus(runs, except);
    if (found.length) await this.remove(found.map(({ id }) => id));
  }

  // Removes the oldest run without a label. Returns whether there was one.
  async removeOldest(except) {
    const runs = (await this.#ask("runs", (store) => store.getAll())).sort(newestFirst);
    const oldest = runs.filter((run) => isFree(run, except)).pop();
    if (oldest) await this.remove([oldest.id]);
    return Boolean(oldest);
  }

  // Tells other windows that the runs have changed.
  announce() {
    this.#channel?.postMessage("changed");
  }

  form(evaluator) {
    return this.#ask("forms", (store) => store.get([this.application, evaluator]));
  }

  async keepForm(evaluator, entered) {
    await this.#change(["forms"], (store) => store("forms").put({ application: this.application, evaluator, ...entered }));
  }

  async #ask(name, ask) {
    const database = await this.#open();
    return answered(ask(database.transaction(name, "readonly").objectStore(name)));
  }

  async #change(names, change) {
    const database = await this.#open();
    const transaction = database.transaction(names, "readwrite");
    const ended = new Promise((resolve, reject) => {
      transaction.oncomplete = resolve;
      transaction.onabort = () => reject(transaction.error);
    });
    change((name) => transaction.objectStore(name));
    transaction.commit(); // at once: when the page is left, what waits for its commit is lost
    await ended;
  }

  #open() {
    this.#opened ??= open(() => (this.#opened = null));
    return this.#opened;
  }
}

const newestFirst = (a, b) => (a.started < b.started ? 1 : -1);
const all = (id) => IDBKeyRange.bound([id], [id, []]);

// Whether a run may be removed to make room.
const isFree = (run, except) => !run.label && run.state !== "running" && run.id !== except;

// Returns those of all runs, the newest first, that are to be removed.
export function surplus(runs, except, [kept, most] = [KEPT, MOST]) {
  const counts = new Map();
  const removed = [];
  let size = runs.reduce((sum, run) => sum + (run.size ?? 0), 0);
  const free = runs.filter((run) => isFree(run, except));
  for (const run of runs.filter((each) => !each.label)) {
    const place = JSON.stringify([run.application, run.evaluator]);
    counts.set(place, (counts.get(place) ?? 0) + 1);
    if (counts.get(place) > kept && isFree(run, except)) removed.push(run);
  }
  size -= removed.reduce((sum, run) => sum + (run.size ?? 0), 0);
  for (const run of free.filter((each) => !removed.includes(each)).reverse()) {
    if (size <= most) break;
    removed.push(run);
    size -= run.size ?? 0;
  }
  return removed;
}

function answered(asked) {
  return new Promise((resolve, reject) => {
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error);
  });
}

// Calls `closed()` when the browser has closed the database, for instance since its user has cleared all data.
async function open(closed) {
  const asked = indexedDB.open(NAME, VERSION);
  asked.onupgradeneeded = () => {
    const database = asked.result;
    for (const name of [...database.objectStoreNames]) database.deleteObjectStore(name);
    database.createObjectStore("runs", { keyPath: "id" }).createIndex("evaluator", ["application", "evaluator"]);
    database.createObjectStore("cases", { keyPath: ["run", "at"] });
    database.createObjectStore("spans", { keyPath: ["run", "id"] });
    database.createObjectStore("requests", { keyPath: "run" });
    database.createObjectStore("forms", { keyPath: ["application", "evaluator"] });
  };
  const database = await answered(asked);
  database.onclose = closed;
  database.onversionchange = () => {
    database.close();
    closed();
  };
  return database;
}
