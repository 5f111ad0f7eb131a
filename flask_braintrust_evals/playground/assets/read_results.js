// Reads files of results, of the page and of the command line: docs/results.md. Somebody else may have made such a file:
// whatever it has in its fields, the page can show it.

import { written } from "./dom.js";
import { own } from "./records.js";
import { FORMAT, VERSION } from "./results.js";
import { countScores } from "./rows.js";

export const EXPECTED = "export one as JSON, or write one with 'flask evals run --json'";
const STATES = ["finished", "failed", "cancelled", "interrupted"];

// Returns the runs in a file of results, which is a value of JSON, or throws an Error that says what is wrong with it.
// They are plain data as Run.plain() returns it.
export function fromResults(file) {
  if (file?.format !== FORMAT)
    throw new Error(`this is no file of results: ${EXPECTED}`);
  if (file.version !== VERSION)
    throw new Error(`this file has version ${written(file.version)} of the format, and this page reads version ${VERSION}`);
  const runs = file.runs ?? [file];
  if (!Array.isArray(runs) || !runs.length) throw new Error("this file of results has no run");
  return runs.map(runOf);
}

// Returns the runs that those of a file are compared with, in the same order; null: there is none.
export function fromCompared({ compared_with: compared, format, version }) {
  return listOf(compared).map((each) => (each ? fromResults({ ...each, format, version })[0] : null));
}

function runOf(body, index) {
  if (typeof body?.evaluator !== "string" || !Array.isArray(body.results))
    throw new Error(`run ${index + 1} of this file lacks its 'evaluator' or its 'results'`);
  const { format, version, results, ...said } = body;
  const rows = results.map((result, at) => {
    if (typeof result !== "object" || result === null || typeof (result.scores ?? {}) !== "object")
      throw new Error(`result ${at + 1} of the evaluator '${body.evaluator}' is not an object with 'scores'`);
    return rowOf(result, at);
  });
  const means = new Map();
  for (const row of rows) countScores(means, row);
  const started = Number.isNaN(Date.parse(written(body.started))) ? new Date(0).toISOString() : written(body.started);
  return {
    id: typeof body.id === "string" && body.id ? body.id : `${started} ${body.evaluator} ${digest(JSON.stringify(body))}`,
    evaluator: body.evaluator,
    label: textOf(body.label) ?? null,
    application: body.application ?? null,
    parameters: recordOf(body.parameters),
    started,
    seconds: Number.isFinite(body.seconds) ? body.seconds : null,
    total: rows.length + numberOf(body.interrupted),
    rows,
    state: STATES.includes(body.state) ? body.state : body.error ? "failed" : "finished",
    error: textOf(body.error) ?? "",
    summary: listOf(body.notes).length ? { warning: body.notes.map((each) => written(each)).join("\n") } : null,
    scoreNames: [...new Set(rows.flatMap((row) => Object.keys(row.scores)))],
    done: rows.length,
    failed: rows.filter((row) => row.error).length,
    means,
    experiment: body.experiment ?? null,
    said,
  };
}

// Returns a number that tells apart runs without an id, of which two may have begun at the same time, or do not say when.
// It is not for secrets: https://en.wikipedia.org/wiki/Fowler-Noll-Vo_hash_function, with 32 bits.
function digest(text) {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return (hash >>> 0).toString(36);
}

function rowOf(result, at) {
  const [index, trial] = [Number.isInteger(result.index) ? result.index : at, Number.isInteger(result.trial_index) ? result.trial_index : 0];
  const scores = Object.entries(result.scores ?? {}).map(([name, score]) => {
    const value = typeof score === "number" ? score : null;
    const metadata = own(result.score_metadata, name);
    return [name, metadata ? { score: value, metadata } : { score: value }];
  });
  const row = {
    id: `${index}.${trial}`,
    caseId: isRecord(result.id) ? undefined : (result.id ?? undefined),
    index,
    trial,
    input: result.input,
    expected: result.expected,
    output: result.error ? undefined : result.output,
    error: result.error ? written(result.error) : undefined,
    errorPlace: textOf(result.error_place),
    errorStack: textOf(result.error_stack),
    state: result.error ? "error" : "done",
    text: "",
    scores: Object.fromEntries(scores),
    scorerErrors: notEmpty(recordOf(result.scorer_errors, (each) => written(each))),
    classifications: recordOf(result.classifications),
    metadata: recordOf(result.metadata),
    tags: listOf(result.tags).map((each) => written(each)),
    duration: typeof result.seconds === "number" ? result.seconds : undefined,
    metrics: numbersOf(result.metrics),
    scorerMetrics: numbersOf(result.scorer_metrics),
    messages: listOf(result.messages).filter(isRecord).map(({ kind, text }) => ({ kind: written(kind), text: written(text) })),
  };
  if (Array.isArray(result.spans)) row.spans = result.spans.filter(isRecord).map(spanOf);
  if (result.spans_cut) row.spansCut = result.spans_cut;
  return row;
}

// A span of a file that somebody else has made may have anything in its fields.
function spanOf(span) {
  const start = numberOf(span.start);
  const made = { ...span, id: written(span.id), name: written(span.name ?? ""), start, end: Math.max(start, numberOf(span.end)) };
  for (const name of ["metadata", "metrics", "scores"]) if (name in span && !isRecord(span[name])) delete made[name];
  for (const name of ["type", "error", "error_stack"]) if (name in span && span[name] !== null) made[name] = written(span[name]);
  return made;
}

const textOf = (value) => (value === undefined || value === null ? undefined : written(value));
const numberOf = (value) => (Number.isFinite(value) ? value : 0);
const isRecord = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

// Returns a record with its values converted; empty if it is none.
function recordOf(value, convert = (each) => each) {
  if (!isRecord(value)) return {};
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, convert(each)]));
}

const numbersOf = (value) => Object.fromEntries(Object.entries(recordOf(value)).filter(([, each]) => Number.isFinite(each)));
const listOf = (value) => (Array.isArray(value) ? value : []);
const notEmpty = (record) => (record && Object.keys(record).length ? record : undefined);
