// A file of cases. It is read when it is chosen, and again when it has changed since.

import { decodeText, parseCases } from "./cases.js";

const TYPES = [{ description: "Cases", accept: { "application/json": [".json", ".jsonl", ".ndjson"], "text/csv": [".csv", ".tsv"] } }];
const MAX_KEPT = 2_000_000; // characters of a text that is kept with the form

export class CaseFile {
  name = "";
  cases = [];
  problem = ""; // why the file has no cases
  read = null; // when it was read
  again = false; // whether that was not the first time
  #file = null;
  #handle = null; // by which some browsers let a page read a changed file again
  #text = "";

  // Lets the user choose a file, where the browser has handles. Returns whether one was chosen, or null without handles.
  async choose() {
    if (!window.showOpenFilePicker) return null;
    try {
      const [handle] = await window.showOpenFilePicker({ types: TYPES });
      await this.take(await handle.getFile(), handle);
      return true;
    } catch (error) {
      if (error.name === "AbortError") return false;
      throw error;
    }
  }

  // Reads a file that was chosen or dropped.
  async take(file, handle = null) {
    const bytes = await bytesOf(file); // where this fails, the file before is still the chosen one
    [this.#handle, this.name, this.again] = [handle, file.name, false];
    this.#use(file, bytes);
  }

  // Reads the file again if it has changed. Throws an Error if the browser does not let the page do so.
  // `mayAsk`: whether the browser may ask the user for that, which it only does after a click.
  async refresh({ mayAsk = false } = {}) {
    const file = await this.#current(mayAsk);
    if (!file || (file.lastModified === this.#file?.lastModified && file.size === this.#file.size && this.#handle)) return;
    const before = this.#text;
    this.#use(file, await bytesOf(file));
    this.again ||= this.#text !== before;
  }

  // Whether only the text is there that was kept with the form.
  get isKept() {
    return this.#file === null;
  }

  // Returns what is to be kept with the form.
  kept() {
    if (!this.name) return undefined;
    const { name, read, problem } = this;
    const kept = { name, read, problem, text: this.#text.length > MAX_KEPT ? null : this.#text };
    return this.#handle ? { ...kept, handle: this.#handle } : kept;
  }

  // Takes what was kept with the form, if there is something.
  restore({ name = "", read = null, problem = "", text = "", handle = null } = {}) {
    [this.name, this.read, this.again, this.#file, this.#handle] = [name, read, false, null, handle];
    this.#parse(text ?? "");
    if (text === null) this.problem = "the file is too large to be kept with the form: choose it again";
    else if (problem) this.problem = problem; // a text that could not be decoded is not kept
  }

  // Returns the file as it is now, or null if there is only the text that was kept.
  async #current(mayAsk) {
    if (!this.#handle) return this.#file;
    try {
      if ((await this.#handle.queryPermission()) !== "granted") {
        if (!mayAsk) return this.#file;
        if ((await this.#handle.requestPermission()) !== "granted") throw new Error("reading it was not allowed");
      }
      return await this.#handle.getFile();
    } catch (error) {
      throw new Error(`${this.name} cannot be read: ${error.message}`);
    }
  }

  #use(file, bytes) {
    [this.#file, this.read] = [file, Date.now()];
    try {
      this.#parse(decodeText(bytes));
    } catch (error) {
      [this.#text, this.cases, this.problem] = ["", [], error.message];
    }
  }

  #parse(text) {
    [this.#text, this.cases, this.problem] = [text, [], ""];
    if (!this.name) return;
    try {
      this.cases = parseCases(text);
    } catch (error) {
      this.problem = error.message;
    }
  }
}

async function bytesOf(file) {
  try {
    return await file.arrayBuffer();
  } catch {
    const why = "has changed since it was chosen, or is gone, and this browser does not let the page read it again";
    throw new Error(`${file.name} ${why}: choose it again`);
  }
}
