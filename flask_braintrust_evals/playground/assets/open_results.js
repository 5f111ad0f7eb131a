// Opens files of results, and reports, which have such a file inside: their runs are then among the others.

import { decodeText } from "./cases.js";
import { byId, show } from "./dom.js";
import { parseExactly } from "./exact_json.js";
import { EXPECTED, fromCompared, fromResults } from "./read_results.js";
import { Run } from "./run.js";

const IN_REPORT = /<script type="application\/json" id="report-data">([^<]*)<\/script>/;

// What a text seems to be that is not valid JSON. cli/stored_results/file_kinds.py does the same.
const KINDS = [
  [/^<(!doctype html|html)\b/i, "HTML, and no report"],
  [/^</, "XML"],
  [/^###? /, "Markdown"],
  [/^\{[^\n]*"flask-braintrust-evals\/journal"/, "what 'flask evals run --resume' writes"],
  [/^\{[^\n]*\}[^\S\n]*\n\s*\{/, "JSON Lines"],
  [/^[^\n{[]*[,;\t]/, "CSV"],
];

export class Opener {
  #use = () => {};

  // `keep()` returns the store in which the runs are kept.
  constructor(keep) {
    byId("opened-file").addEventListener("change", async ({ target }) => {
      const [file] = target.files;
      if (file) await this.#open(file, keep());
      target.value = ""; // so that the same file can be opened again
    });
  }

  // Lets the user choose a file, and calls `use(runs)` with the runs in it.
  ask(use) {
    this.#use = use;
    byId("opened-file").click();
  }

  async #open(file, store) {
    show(byId("open-problem"), "");
    try {
      const runs = await readResults(file);
      for (const each of runs) await keepRun(each, store);
      store.announce();
      await store.prune(runs[0].id);
      await this.#use(runs);
    } catch (error) {
      show(byId("open-problem"), `${file.name} cannot be opened: ${error.message}`);
    }
  }
}

// Returns the runs in a file, those that others are compared with included, or throws an Error that says what is wrong.
// A run without a label gets the name of the file as one.
async function readResults(file) {
  const text = decodeText(await file.arrayBuffer()).replace(/^\uFEFF/, "");
  const body = parsed(IN_REPORT.exec(text)?.[1] ?? text);
  return [...fromResults(body), ...fromCompared(body).filter(Boolean)].map((each) => Run.of({ ...each, label: each.label ?? file.name }, each.rows));
}

function parsed(text) {
  let body;
  try {
    body = parseExactly(text);
  } catch (error) {
    const kind = KINDS.find(([pattern]) => pattern.test(text.trimStart()))?.[1];
    throw new Error(kind ? `this is no file of results, but seems to be ${kind}: ${EXPECTED}` : `this file is not valid JSON: ${error.message}`);
  }
  return typeof body === "object" && body !== null ? body : {};
}

// Writes a run to the browser's database, unless it is there. The spans are beside its cases, as of a run of the page.
async function keepRun(run, store) {
  if (await store.record(run.id)) return;
  const cases = run.rows.map(({ spans, spansCut, ...row }, at) => ({ at, row: { ...row, at } }));
  const spans = run.rows
    .filter((row) => row.spans)
    .map((row) => ({ id: row.id, spans: row.spans, leftOut: row.spansCut ?? 0 }));
  const size = JSON.stringify(cases).length + JSON.stringify(spans).length;
  await store.write({ ...run.record(), size, seen: Date.now() }, { cases, spans });
  await store.label(run.id, run.label);
}
