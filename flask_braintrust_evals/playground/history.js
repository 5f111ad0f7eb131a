// Keeps earlier runs in the browser's own database.

const NAME = "braintrust-evals";
const KEPT = 20; // runs of each evaluator

function open() {
  const asked = indexedDB.open(NAME, 1);
  asked.onupgradeneeded = () => {
    asked.result.createObjectStore("runs", { keyPath: "id" }).createIndex("evaluator", "evaluator");
  };
  return answer(asked);
}

function answer(asked) {
  return new Promise((resolve, reject) => {
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error);
  });
}

async function store(mode) {
  const database = await open();
  const transaction = database.transaction("runs", mode);
  transaction.oncomplete = transaction.onabort = () => database.close();
  return transaction.objectStore("runs");
}

// Returns runs without their rows, the newest first.
export async function earlierRuns(evaluator) {
  const runs = await answer((await store("readonly")).index("evaluator").getAll(evaluator));
  return runs
    .map(({ id, started, done, failed, state, total }) => ({ id, started, done, failed, state, total }))
    .sort((a, b) => (a.id < b.id ? 1 : -1));
}

export const earlierRun = async (id) => answer((await store("readonly")).get(id));

export async function keep(run) {
  await answer((await store("readwrite")).put(run));
  const old = (await earlierRuns(run.evaluator)).slice(KEPT);
  const runs = await store("readwrite");
  await Promise.all(old.map(({ id }) => answer(runs.delete(id))));
}

export async function forget(evaluator) {
  const old = await earlierRuns(evaluator);
  const runs = await store("readwrite");
  await Promise.all(old.map(({ id }) => answer(runs.delete(id))));
}
