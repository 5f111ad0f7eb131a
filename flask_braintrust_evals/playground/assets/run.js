// A run: rows that are filled in when events arrive.

import { parseExactly } from "./exact_json.js";
import { countScores } from "./rows.js";
import { sameValue } from "./values.js";

const MESSAGES = 200; // that a task reports for one case, and are kept
const MESSAGE_TEXT = 50_000; // characters of all of them

export class Run {
  // Returns the run of a record and its rows.
  static of(record, rows = record.rows) {
    const run = Object.assign(new Run(record.evaluator, record.parameters, record.total), record, { rows });
    run.byId = new Map(rows.map((row) => [row.id, row]));
    run.began = performance.now() - Math.max(0, Date.now() - Date.parse(record.started)); // it may go on in another window
    return run;
  }

  constructor(evaluator, parameters, total) {
    this.started = new Date().toISOString();
    this.id = `${this.started.replaceAll(/\D/g, "").slice(0, 14)}-${Math.random().toString(36).slice(2, 8)}`;
    this.evaluator = evaluator;
    this.parameters = parameters;
    this.began = performance.now();
    this.seconds = null;
    this.total = total; // number of cases and trials, or null if it is not known
    this.rows = [];
    this.state = "running"; // then "finished", "failed", "cancelled" or, if the page was left, "interrupted"
    this.label = null; // what its user calls it
    this.about = ""; // which cases of another run it repeats
    this.error = "";
    this.summary = null;
    this.scoreNames = [];
    this.done = 0;
    this.failed = 0;
    this.experiment = null;
    this.means = new Map(); // from the name of each score to { sum, count, failed }
    this.byId = new Map();
  }

  // Returns the row of a case that this event tells to be done, or else undefined.
  handle(event, text) {
    const data = text === "" ? null : parseExactly(text);
    if (event === "case_start") this.#start(data);
    else if (event === "progress") this.#progress(data);
    else if (event === "case_result") return this.#result(data);
    else if (event === "start") this.experiment = data;
    else if (event === "summary") {
      this.summary = data;
      this.state = "finished";
      this.error = data.warning ?? "";
      this.#stopClock();
    } else if (event === "error") {
      this.state = "failed";
      this.error = String(data);
      this.#stopClock();
    }
    return undefined;
  }

  end(state, error = "") {
    this.state = state;
    this.error = error;
    this.#stopClock();
    for (const row of this.rows) if (row.state !== "done" && row.state !== "error") row.state = "cancelled";
  }

  // Returns plain data, for export.js.
  plain() {
    return { ...this.record(), rows: this.rows };
  }

  // Returns plain data without the rows, for store.js.
  record() {
    const { byId, began, rows, ...record } = this;
    return record;
  }

  #stopClock() {
    this.seconds ??= Math.round(performance.now() - this.began) / 1000;
  }

  #start({ id, case_id: caseId, index, trial_index: trial, input, expected }) {
    const row = { at: this.rows.length, id, caseId, index, trial, input, expected, state: "running", text: "", scores: {} };
    this.byId.set(id, row);
    this.rows.push(row);
  }

  #progress({ id, event, data }) {
    const row = this.byId.get(id);
    if (!row) return;
    if (event === "text_delta" || event === "reasoning_delta") row.text += data;
    else if (event === "json_delta") {
      row.output = parsed(data);
      row.state = "scoring";
    } else if (event === "error") row.error = data;
    else if (event !== "done" || data) note(row, event, data);
  }

  #result(result) {
    const row = this.byId.get(result.id);
    if (!row) return undefined;
    const { scores, classifications, scorer_errors: scorerErrors, metadata, tags, duration, metrics, scorer_metrics: scorerMetrics, error } = result;
    Object.assign(row, { scores, classifications, scorerErrors, metadata, tags, duration, metrics, scorerMetrics });
    row.error = error;
    row.errorPlace = result.error_place;
    row.errorStack = result.error_stack;
    row.state = error ? "error" : "done";
    this.done += 1;
    this.failed += error ? 1 : 0;
    for (const name of Object.keys(scores)) if (!this.scoreNames.includes(name)) this.scoreNames.push(name);
    countScores(this.means, row);
    return row;
  }
}

// Keeps what a task reports, up to a limit; a mark says that there was more.
function note(row, kind, text) {
  row.messages ??= [];
  row.said = (row.said ?? 0) + String(text).length;
  const room = MESSAGES - row.messages.length;
  if (room > 1 && row.said <= MESSAGE_TEXT) row.messages.push({ kind, text: String(text) });
  else if (row.messages.at(-1)?.kind !== "cut") row.messages.push({ kind: "cut", text: "The task reported more, which is not kept." });
}

function parsed(text) {
  try {
    return parseExactly(text);
  } catch {
    return text; // progress that a task reports is any text
  }
}

// Returns whether a row's output is not the expected one.
export const differs = (row) =>
  row.expected !== undefined && row.expected !== null && row.state !== "running" && !row.error &&
  !sameValue(row.output, row.expected);

// Returns what a run is called: its label, or when it began.
export const nameOf = (run) => run.label || timeOf(run);

export function timeOf({ started }) {
  const date = new Date(started);
  const day = date.toDateString() === new Date().toDateString() ? "today" : date.toLocaleDateString(undefined, { day: "numeric", month: "short" });
  return `${day}, ${date.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" })}`;
}
