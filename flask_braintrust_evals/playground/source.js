// Where the cases of the next run come from: a text, a file, the evaluator itself, or a dataset.

import { decodeText, parseCases } from "./cases.js";
import { byId, show } from "./dom.js";

const EXAMPLE = '[\n  {"input": "hello", "expected": "hello"}\n]';

export class Source {
  constructor() {
    byId("cases").value = EXAMPLE;
    byId("source").addEventListener("change", () => this.#choose());
    byId("cases").addEventListener("input", () => this.#count());
  }

  // Says whether the chosen evaluator has cases of its own.
  offerOwn(hasData) {
    const own = byId("source").querySelector("[value=own]");
    own.disabled = !hasData;
    own.textContent = hasData ? "the evaluator itself" : "the evaluator itself (it has none)";
    if (!hasData && byId("source").value === "own") byId("source").value = "text";
    this.#choose();
  }

  // Returns { data, cases }: the data of a request, and the number of cases, or null if it is not known.
  async chosen() {
    const source = byId("source").value;
    if (source === "own") return { data: { own: true }, cases: null };
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
    if (source !== "text") return show(byId("cases-found"), "");
    try {
      const found = parseCases(byId("cases").value).length;
      show(byId("cases-found"), `${found} case${found === 1 ? "" : "s"}`);
    } catch (error) {
      show(byId("cases-found"), error.message);
    }
  }
}
