// Keeps runs and what was entered in forms in the browser's own database. Applications at the same address have
// their own: an exported run that is opened in another application has the same id there. A run is written while it goes
// on: its record, and each of its cases when that is done. Its label is written by any window, and therefore apart from
// the record, which the window of the run writes again and again.

const NAME = "braintrust-evals";
const VERSION = 3;
const MAX_RUNS = 50; // runs of each evaluator, apart from those with a label
const MAX_CHARACTERS = 200_000_000; // characters of all runs together

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
  runs(evaluator) {
    return this.#records((store) => store.index("evaluator").getAll([this.application, evaluator]));
  }

  // Returns the record of a run, or undefined if there is none.
  async record(id) {
    const [record] = await this.#records((store) => store.getAll([this.application, id]));
    return record;
  }

  rows(id) {
    return this.#ask("cases", (store) => store.getAll(all(this.application, id))).then((found) => found.map(({ row }) => row));
  }

  // Returns { spans, leftOut } of one case, or undefined.
  spans(run, id) {
    return this.#ask("spans", (store) => store.get([this.application, run, id]));
  }

  // Returns the body of the request that a run was started with.
  request(run) {
    return this.#ask("requests", (store) => store.get([this.application, run])).then((found) => found?.body);
  }

  // Writes in one transaction, all of it or nothing. `cases` is a list of { at, row }, and `spans` one of
  // { id, spans, leftOut }, where id is that of the row. The label of the record is not written.
  async write({ label, ...record }, { cases = [], spans = [], request = null } = {}) {
    const { application } = this;
    const run = record.id;
    await this.#change(["runs", "cases", "spans", "requests"], (store) => {
      store("runs").put({ ...record, application });
      for (const { at, row } of cases) store("cases").put({ application, run, at, row });
      for (const each of spans) store("spans").put({ ...each, application, run });
      if (request) store("requests").put({ application, run, body: request });
    });
  }

  // Gives a run a label, or takes it away.
  async label(run, label) {
    const { application } = this;
    await this.#change(["labels"], (store) => (label ? store("labels").put({ application, run, label }) : store("labels").delete([application, run])));
    this.announce();
  }

  // Changes the record of a run, by a function of what it is at that moment. Returns the changed record.
  async change(id, change) {
    const database = await this.#open();
    const transaction = database.transaction("runs", "readwrite");
    const runs = transaction.objectStore("runs");
    const { label, ...changed } = change((await answered(runs.get([this.application, id]))) ?? {});
    if (changed.id === id) runs.put(changed);
    await ended(transaction);
    return changed;
  }

  remove(ids) {
    return this.#remove(ids.map((id) => ({ application: this.application, id })));
  }

  // Removes the oldest runs without a label where there are too many, or where all runs are too large.
  async prune(except) {
    const found = surplus(await this.#records((store) => store.getAll()), except);
    if (found.length) await this.#remove(found);
  }

  // Removes the oldest run without a label. Returns whether there was one.
  async removeOldest(except) {
    const oldest = (await this.#records((store) => store.getAll())).filter((run) => isFree(run, except)).pop();
    if (oldest) await this.#remove([oldest]);
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

  // Returns the records that are asked for, with their labels, the newest first.
  async #records(ask) {
    const database = await this.#open();
    const transaction = database.transaction(["runs", "labels"], "readonly");
    const asked = [ask(transaction.objectStore("runs")), transaction.objectStore("labels").getAll()];
    const [runs, labels] = await Promise.all(asked.map(answered));
    const known = new Map(labels.map(({ application, run, label }) => [JSON.stringify([application, run]), label]));
    return runs.map((run) => ({ ...run, label: known.get(JSON.stringify([run.application, run.id])) ?? null })).sort(newestFirst);
  }

  async #remove(runs) {
    await this.#change(["runs", "labels", "cases", "spans", "requests"], (store) => {
      for (const { application, id } of runs) {
        for (const name of ["runs", "labels", "requests"]) store(name).delete([application, id]);
        for (const name of ["cases", "spans"]) store(name).delete(all(application, id));
      }
    });
    this.announce();
  }

  async #ask(name, ask) {
    const database = await this.#open();
    return answered(ask(database.transaction(name, "readonly").objectStore(name)));
  }

  async #change(names, change) {
    const database = await this.#open();
    const transaction = database.transaction(names, "readwrite");
    const written = ended(transaction);
    change((name) => transaction.objectStore(name));
    transaction.commit(); // at once: when the page is left, what waits for its commit is lost
    await written;
  }

  #open() {
    this.#opened ??= open(() => (this.#opened = null));
    return this.#opened;
  }
}

const newestFirst = (a, b) => (a.started < b.started ? 1 : -1);
const all = (...key) => IDBKeyRange.bound(key, [...key, []]);

// Whether a run may be removed to make room.
const isFree = (run, except) => !run.label && run.state !== "running" && run.id !== except;

// Returns those of all runs, the newest first, that are to be removed.
export function surplus(runs, except, [kept, most] = [MAX_RUNS, MAX_CHARACTERS]) {
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

function ended(transaction) {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = resolve;
    transaction.onabort = () => reject(transaction.error);
  });
}

// Calls `closed()` when the browser has closed the database, for instance since its user has cleared all data.
async function open(closed) {
  const asked = indexedDB.open(NAME, VERSION);
  asked.onupgradeneeded = () => {
    const database = asked.result;
    for (const name of [...database.objectStoreNames]) database.deleteObjectStore(name);
    database.createObjectStore("runs", { keyPath: ["application", "id"] }).createIndex("evaluator", ["application", "evaluator"]);
    database.createObjectStore("labels", { keyPath: ["application", "run"] });
    database.createObjectStore("cases", { keyPath: ["application", "run", "at"] });
    database.createObjectStore("spans", { keyPath: ["application", "run", "id"] });
    database.createObjectStore("requests", { keyPath: ["application", "run"] });
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
