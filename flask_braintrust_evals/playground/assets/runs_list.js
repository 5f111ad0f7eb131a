// The list of an evaluator's runs, from which they are opened, named, compared and deleted.

import { hashOf } from "./address.js";
import { ask } from "./ask.js";
import { withSpans } from "./all_spans.js";
import { byId, element, percent, show } from "./dom.js";
import { download, fileName } from "./export.js";
import { settled } from "./recorder.js";
import { own } from "./records.js";
import { toResults } from "./results.js";
import { nameOf, Run, timeOf } from "./run.js";
import { sameValue } from "./values.js";

const SHORT = 40; // characters of a parameter's value

export class RunsList {
  records = [];
  #store = null;
  #evaluator = "";
  #chosen = new Set();
  #compare;

  // Calls `compare(run, other)` with the ids of two runs that are to be compared.
  constructor({ compare }) {
    this.#compare = compare;
    byId("compare-chosen").addEventListener("click", () => this.#compareChosen());
    byId("export-chosen").addEventListener("click", () => this.#export());
    byId("delete-chosen").addEventListener("click", () => this.#delete(this.#chosenRecords));
  }

  get #chosenRecords() {
    return this.records.filter(({ id }) => this.#chosen.has(id));
  }

  async list(store, evaluator) {
    if (evaluator !== this.#evaluator) this.#chosen.clear();
    [this.#store, this.#evaluator] = [store, evaluator];
    const again = () => evaluator === this.#evaluator && this.list(store, evaluator);
    const known = await store.runs(evaluator).catch(() => []);
    this.records = await Promise.all(known.map((each) => settled(store, each, again)));
    this.#draw();
  }

  // Asks whether to delete runs. Returns whether they have been.
  async #delete(records) {
    const one = records.length === 1;
    const question = one ? `Delete the run of ${nameOf(records[0])}?` : `Delete ${records.length} runs?`;
    const explained = `${one ? "Its results are" : "Their results are"} in this browser only, and cannot be brought back.`;
    if (!(await ask(question, { explained, yes: "Delete" }))) return false;
    await this.#store.remove(records.map(({ id }) => id));
    await this.list(this.#store, this.#evaluator);
    return true;
  }

  delete(record) {
    return this.#delete([record]);
  }

  #compareChosen() {
    const [now, before] = this.#chosenRecords;
    this.#compare(now.id, before.id);
  }

  // Writes the chosen runs to one file of results.
  async #export() {
    const records = this.#chosenRecords;
    try {
      const bodies = [];
      for (const each of records) bodies.push(toResults(await withSpans(Run.of(each, await this.#store.rows(each.id)), this.#store)));
      const [{ format, version }] = bodies;
      const runs = bodies.map(({ format, version, ...body }) => body);
      const file = runs.length === 1 ? bodies[0] : { format, version, passed: runs.every(({ passed }) => passed), runs };
      download(fileName(records[0], "json"), "application/json", JSON.stringify(file, null, 2));
    } catch (error) {
      show(byId("gone"), `The runs cannot be exported: ${error.message}`);
    }
  }

  #draw() {
    const known = new Set(this.records.map(({ id }) => id));
    this.#chosen = new Set([...this.#chosen].filter((id) => known.has(id)));
    byId("runs-title").textContent = `Runs of ${this.#evaluator}`;
    byId("runs-bar").hidden = byId("runs-table").hidden = !this.records.length;
    const names = [...new Set(this.records.flatMap((each) => [...(each.means?.keys() ?? [])]))];
    const differing = differingParameters(this.records);
    byId("runs-table").replaceChildren(
      element("div", { role: "rowgroup", className: "runs-head" }, headOf(names, differing)),
      element("div", { role: "rowgroup" }, ...this.records.map((each) => this.#row(each, names, differing))),
    );
    this.#enable();
  }

  #enable() {
    byId("compare-chosen").disabled = this.#chosen.size !== 2;
    for (const id of ["export-chosen", "delete-chosen"]) byId(id).disabled = !this.#chosen.size;
    const words = ["Choose two to compare them.", "One is chosen: choose another to compare them."];
    byId("chosen").textContent = words[this.#chosen.size] ?? `${this.#chosen.size} are chosen.`;
  }

  #row(record, names, differing) {
    const { id } = record;
    const choose = ({ target }) => {
      if (target.checked) this.#chosen.add(id);
      else this.#chosen.delete(id);
      this.#enable();
    };
    const box = element("input", { type: "checkbox", checked: this.#chosen.has(id), disabled: record.state === "running", "aria-label": `Choose the run of ${nameOf(record)}`, onchange: choose });
    const link = element("a", { href: hashOf({ evaluator: this.#evaluator, run: id }) }, nameOf(record));
    const remove = element("button", { type: "button", disabled: record.state === "running", "aria-label": `Delete the run of ${nameOf(record)}`, onclick: () => this.#delete([record]) }, "Delete");
    return element(
      "div",
      { role: "row", className: "run" },
      cell("", box),
      cell("run-name", link, quiet(record.label ? timeOf(record) : ""), quiet(record.about)),
      cell("", element("span", { className: "name-here" }, "Cases "), progressOf(record), stateOf(record)),
      ...names.map((name) => cell("number", element("span", { className: "name-here" }, `${name} `), meanOf(record, name))),
      cell("run-parameters", ...parametersOf(record, differing)),
      cell("", remove),
    );
  }
}

const cell = (className, ...children) => element("div", { role: "cell", className }, ...children);
const quiet = (text) => (text ? element("div", { className: "quiet" }, text) : null);

function headOf(names, differing) {
  const titles = ["Chosen", "Run", "Cases", ...names, differing.length ? "Parameters that differ" : "Parameters", "Actions"];
  const hidden = new Set(["Chosen", "Actions"]);
  return element(
    "div",
    { role: "row" },
    ...titles.map((title, at) =>
      element("div", { role: "columnheader", className: at > 2 && at < 3 + names.length ? "number" : "" }, element("span", { className: hidden.has(title) ? "unseen" : "" }, title)),
    ),
  );
}

function progressOf({ done, total, state }) {
  return total !== null && total !== done && state !== "finished" ? `${done} of ${total}` : `${done}`;
}

function stateOf({ state, failed, means }) {
  const broken = [...(means?.values() ?? [])].reduce((sum, each) => sum + each.failed, 0);
  const words = [
    state === "finished" ? "" : state,
    failed ? `${failed} failed` : "",
    broken ? `${broken} scores failed` : "",
  ].filter(Boolean);
  return words.length ? element("div", { className: state === "running" ? "quiet" : "failed small" }, words.join(", ")) : null;
}

// Returns the mean of a score, and on how many cases its scorer failed.
export function meanOf({ means }, name) {
  const mean = means?.get(name);
  if (!mean) return "";
  const shown = mean.count ? percent(mean.sum / mean.count) : "no score";
  return mean.failed ? `${shown} (${mean.failed} failed)` : shown;
}

// Returns the names of the parameters that do not have the same value in all runs.
export function differingParameters(records) {
  const names = new Set(records.flatMap(({ parameters }) => Object.keys(parameters ?? {})));
  return [...names].filter((name) =>
    records.some(({ parameters }) => !sameValue(own(parameters, name), own(records[0].parameters, name))),
  );
}

function parametersOf(record, differing) {
  const names = differing.length ? differing : Object.keys(record.parameters ?? {});
  return names.map((name) => element("div", {}, `${name}: ${shortValue(own(record.parameters, name))}`));
}

export function shortValue(value) {
  if (value === undefined) return "not given";
  const text = typeof value === "string" ? value || '""' : JSON.stringify(value);
  return text.length > SHORT ? `${text.slice(0, SHORT)}…` : text;
}
