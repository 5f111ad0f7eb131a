// Where the cases of the next run come from: a text, a file, the evaluator itself, or a dataset.

import { decodeText, parseCases } from "./cases.js";
import { byId, show } from "./dom.js";

const EXAMPLE = [{ input: "hello", expected: "hello" }];

export const countOf = (cases) => `${cases.toLocaleString()} case${cases === 1 ? "" : "s"}`;

export class Source {
  #own; // the number of the evaluator's own cases, null if it is not known, or undefined if it has none

  constructor() {
    byId("source").addEventListener("change", () => this.#choose());
    byId("cases").addEventListener("input", () => this.#count());
  }

  // Shows what was entered before, or else what the evaluator has itself.
  show({ has_data: hasData, cases, examples = [] }, entered) {
    this.#own = hasData ? (cases ?? null) : undefined;
    const option = byId("source").querySelector("[value=own]");
    option.disabled = !hasData;
    option.textContent = hasData ? "the evaluator itself" : "the evaluator itself (it has none)";
    byId("cases").value = entered.text ?? JSON.stringify(examples.length ? examples : EXAMPLE, null, 2);
    byId("dataset").value = entered.dataset ?? "";
    byId("source").value = entered.source ?? (hasData ? "own" : "text");
    if (!hasData && byId("source").value === "own") byId("source").value = "text";
    this.#choose();
  }

  // Returns what is to be kept of the form.
  entered() {
    return { source: byId("source").value, text: byId("cases").value, dataset: byId("dataset").value };
  }

  // Returns { data, cases }: the data of a request, and the number of cases, or null if it is not known.
  async chosen() {
    const source = byId("source").value;
    if (source === "own") return { data: { own: true }, cases: this.#own ?? null };
    if (source === "dataset") {
      const id = byId("dataset").value.trim();
      if (!id) throw new Error("Give the dataset's id.");
      return { data: { dataset_id: id }, cases: null };
    }
    const file = byId("file").files[0];
    if (source === "file" && !file) throw new Error("Choose a file.");
    const text = source === "file" ? decodeText(await file.arrayBuffer()) : byId("cases").value;
    const cases = parseCases(text);
    return { data: { data: cases }, cases: cases.length };
  }

  #choose() {
    const source = byId("source").value;
    for (const each of ["text", "file", "dataset"]) byId(`${each}-source`).hidden = each !== source;
    this.#count();
  }

  #count() {
    const source = byId("source").value;
    if (source === "own" && typeof this.#own === "number") return show(byId("cases-found"), countOf(this.#own));
    if (source !== "text") return show(byId("cases-found"), "");
    try {
      show(byId("cases-found"), countOf(parseCases(byId("cases").value).length));
    } catch (error) {
      show(byId("cases-found"), error.message);
    }
  }
}
