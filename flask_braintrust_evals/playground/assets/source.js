// Where the cases of the next run come from: a text, a file, the evaluator itself, or a dataset.

import { CaseFile } from "./case_file.js";
import { caseTable, countOf } from "./case_table.js";
import { ignoredKeys, parseCases } from "./cases.js";
import { byId, show } from "./dom.js";

const EXAMPLE = [{ input: "hello", expected: "hello" }];
const PREVIEW = 3; // cases

export class Source {
  #file = new CaseFile();
  #own = {}; // what the server says of the evaluator's own cases
  #initial = {}; // what the form has if nothing is entered

  constructor() {
    byId("source").addEventListener("change", () => this.#choose());
    byId("cases").addEventListener("input", () => this.#draw());
    byId("choose-file").addEventListener("click", () => this.#chooseFile());
    byId("file").addEventListener("change", ({ target }) => {
      const [file] = target.files;
      target.value = ""; // so that there is an event if the same file is chosen again
      if (file) this.#take(file);
    });
    byId("cases-from").addEventListener("dragover", (event) => event.dataTransfer.types.includes("Files") && event.preventDefault());
    byId("cases-from").addEventListener("drop", (event) => this.#drop(event));
    addEventListener("focus", () => this.#refresh());
  }

  // Shows what was entered before, or else what the evaluator has itself.
  show({ has_data: hasData, cases, examples = [] }, entered) {
    this.#own = { hasData, cases: cases ?? null, examples };
    const option = byId("source").querySelector("[value=own]");
    option.disabled = !hasData;
    option.textContent = hasData ? "the evaluator itself" : "the evaluator itself (it has none)";
    this.#initial = { source: hasData ? "own" : "text", text: JSON.stringify(examples.length ? examples : EXAMPLE, null, 2) };
    byId("cases").value = entered.text ?? this.#initial.text;
    byId("dataset").value = entered.dataset ?? "";
    byId("source").value = entered.source ?? this.#initial.source;
    if (!hasData && byId("source").value === "own") byId("source").value = "text";
    this.#file = new CaseFile(); // that of another evaluator may still be read
    this.#file.restore(entered.file);
    this.#choose();
  }

  // Returns what its user has entered. The evaluator's own cases are not among it: those that it has later are shown then.
  entered() {
    const given = { dataset: byId("dataset").value || undefined, file: this.#file.kept() };
    if (byId("cases").value !== this.#initial.text) given.text = byId("cases").value;
    const { value: source } = byId("source");
    const isInitial = source === this.#initial.source && given.text === undefined && !given.dataset && !given.file;
    return isInitial ? {} : { ...given, source };
  }

  // Returns the data of a request.
  async chosen() {
    const source = byId("source").value;
    if (source === "own") return { own: true };
    if (source === "dataset") {
      const id = byId("dataset").value.trim();
      if (!id) throw new Error("Give the dataset's id.");
      return { dataset_id: id };
    }
    return { data: source === "file" ? await this.#casesOfFile() : parseCases(byId("cases").value) };
  }

  async #casesOfFile() {
    const file = this.#file;
    if (!file.name) throw new Error("Choose a file.");
    await file.refresh({ mayAsk: true });
    this.#changed();
    if (file.problem) throw new Error(`${file.name}: ${file.problem}`);
    return file.cases;
  }

  async #chooseFile() {
    try {
      if ((await this.#file.choose()) === null) byId("file").click();
      this.#changed();
    } catch (error) {
      this.#say(error.message, true);
    }
  }

  async #take(file, handle) {
    try {
      await this.#file.take(file, handle);
      this.#changed();
    } catch (error) {
      this.#say(error.message, true);
    }
  }

  async #drop(event) {
    const [item] = [...event.dataTransfer.items].filter(({ kind }) => kind === "file");
    if (!item) return;
    event.preventDefault();
    const file = item.getAsFile(); // what is dropped is there during this event only
    const handle = await item.getAsFileSystemHandle?.();
    byId("source").value = "file";
    await this.#take(file, handle ?? null);
    this.#choose();
  }

  // Looks whether the file has changed while its user was in another window.
  async #refresh() {
    if (byId("source").value !== "file" || !this.#file.name) return;
    try {
      await this.#file.refresh();
      this.#changed();
    } catch (error) {
      this.#say(error.message, true);
    }
  }

  // Has the form kept, too.
  #changed() {
    this.#draw();
    for (const kind of ["input", "change"]) byId("setup").dispatchEvent(new Event(kind));
  }

  #choose() {
    const source = byId("source").value;
    for (const each of ["text", "file", "dataset"]) byId(`${each}-source`).hidden = each !== source;
    this.#draw();
  }

  // Says how many cases there are, and shows the first ones if they are not in the form already.
  #draw() {
    const { value: source } = byId("source");
    byId("preview").replaceChildren();
    byId("choose-file").textContent = this.#file.name ? "Choose another file…" : "Choose a file…";
    if (source === "own") this.#drawOwn();
    else if (source === "file") this.#drawFile();
    else if (source === "text") this.#drawText();
    else this.#say("");
  }

  #drawOwn() {
    const { cases, examples } = this.#own;
    this.#say(cases === null ? "" : countOf(cases));
    this.#preview(examples);
  }

  #drawFile() {
    const { name, cases, problem, read, again } = this.#file;
    if (!name) return this.#say("Or drop a file here: JSON, JSON Lines or CSV with an input.");
    if (problem) return this.#say(`${name}: ${problem}`, true);
    const at = new Date(read).toLocaleTimeString();
    const when = again ? `read again at ${at}, since it has changed` : this.#file.isKept ? `as it was read at ${at}` : `read at ${at}`;
    this.#say(`${name}: ${countOf(cases.length)}, ${when}${ignored(cases)}`);
    return this.#preview(cases.slice(0, PREVIEW));
  }

  #drawText() {
    try {
      const cases = parseCases(byId("cases").value);
      this.#say(`${countOf(cases.length)}${ignored(cases)}`);
    } catch (error) {
      this.#say(error.message, true);
    }
  }

  #preview(cases) {
    if (cases.length) byId("preview").replaceChildren(caseTable(cases, cases.length === 1 ? "The first one" : `The first ${cases.length}`));
  }

  #say(text, wrong = false) {
    show(byId("cases-found"), text);
    byId("cases-found").classList.toggle("failed", wrong);
  }
}

function ignored(cases) {
  const keys = ignoredKeys(cases);
  return keys.length ? `. Keys that mean nothing: ${keys.join(", ")}` : "";
}
