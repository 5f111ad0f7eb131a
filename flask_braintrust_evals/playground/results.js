// Writes and reads what "flask evals run --json" writes: docs/results.md. cli/result_json.py does the same.

import { own } from "./records.js";

const FORMAT = "flask-braintrust-evals/results";
const VERSION = 1;
const UNITS = new Map([["duration", "s"], ["estimated_cost", "$"], ["retries", ""]]);

// Returns the results of a run, which is plain data as run.js has it. Cases that are not done are only counted.
export function toResults(run) {
  const done = run.rows
    .filter((row) => row.state === "done" || row.state === "error")
    .sort((a, b) => a.index - b.index || a.trial - b.trial);
  const ended = run.state === "finished";
  const scorerErrors = countsOf(done.map((row) => row.scorerErrors));
  const failed = done.filter((row) => row.error).length;
  const made = {
    evaluator: run.evaluator,
    id: run.id,
    label: run.label || null,
    state: run.state,
    parameters: run.parameters ?? {},
    passed: ended && done.length > 0 && !failed && !Object.keys(scorerErrors).length,
    error: ended ? null : run.error || run.state,
    started: run.started.replace(/\.\d+Z$/, "+00:00"),
    seconds: run.seconds ?? null,
    cases: done.length,
    failed,
    interrupted: run.rows.length - done.length,
    scores: meansOf(done.map((row) => row.scores), (score) => score?.score ?? null),
    metrics: metricsOf(done.map((row) => row.metrics)),
    scorer_metrics: metricsOf(done.map((row) => row.scorerMetrics)),
    scorer_errors: scorerErrors,
    too_low: {},
    worse: {},
    notes: run.summary?.warning ? [run.summary.warning] : [],
    experiment: run.experiment ?? null,
    comparison: run.experiment ? comparisonOf(run.summary) : null,
    baseline: null,
    lost_spans: run.summary?.lostSpans ?? 0,
  };
  if (run.application) made.application = run.application;
  // What an opened file said of itself is written again: it is not computed from the cases alone.
  const said = run.said ? { ...made, ...run.said, label: made.label } : made;
  return { format: FORMAT, version: VERSION, ...said, results: done.map(resultOf) };
}

function resultOf(row) {
  const scores = Object.entries(row.scores ?? {});
  const result = {
    id: row.caseId ?? null,
    index: row.index,
    trial_index: row.trial,
    input: row.input ?? null,
    expected: row.expected ?? null,
    output: row.output ?? null,
    error: row.error ?? null,
    error_place: row.errorPlace ?? null,
    error_stack: row.errorStack ?? null,
    scores: Object.fromEntries(scores.map(([name, { score }]) => [name, score])),
    score_metadata: Object.fromEntries(
      scores.flatMap(([name, { metadata }]) => (metadata && Object.keys(metadata).length ? [[name, metadata]] : [])),
    ),
    classifications: row.classifications ?? {},
    scorer_errors: row.scorerErrors ?? {},
    metadata: row.metadata ?? {},
    tags: row.tags ?? [],
    seconds: row.duration ?? 0,
    metrics: row.metrics ?? {},
    scorer_metrics: row.scorerMetrics ?? {},
  };
  if (row.messages?.length) result.messages = row.messages;
  if (row.spans) result.spans = row.spans;
  if (row.spansCut) result.spans_cut = row.spansCut;
  return result;
}

// Returns the runs in a file of results, which is a value of JSON, or throws an Error that says what is wrong with it.
// They are plain data as Run.plain() returns it.
export function fromResults(file) {
  if (file?.format !== FORMAT)
    throw new Error("this is no file of results: export one as JSON, or write one with 'flask evals run --json'");
  if (file.version !== VERSION)
    throw new Error(`this file has version ${file.version} of the format, and this page reads version ${VERSION}`);
  const runs = file.runs ?? [file];
  if (!Array.isArray(runs) || !runs.length) throw new Error("this file of results has no run");
  return runs.map(runOf);
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
  const started = typeof body.started === "string" ? body.started : new Date(0).toISOString();
  return {
    id: typeof body.id === "string" ? body.id : `${started} ${body.evaluator}`,
    evaluator: body.evaluator,
    label: body.label ?? null,
    application: body.application ?? null,
    parameters: body.parameters ?? {},
    started,
    seconds: body.seconds ?? null,
    total: rows.length + (body.interrupted ?? 0),
    rows,
    state: body.state ?? (body.error ? "failed" : "finished"),
    error: body.error ?? "",
    summary: body.notes?.length ? { warning: body.notes.join("\n") } : null,
    scoreNames: [...new Set(rows.flatMap((row) => Object.keys(row.scores)))],
    done: rows.length,
    failed: rows.filter((row) => row.error).length,
    means: sumsOf(rows),
    experiment: body.experiment ?? null,
    said,
  };
}

// Returns a map from the name of each score to { sum, count, failed }, as a run of the page has it.
function sumsOf(rows) {
  const sums = new Map();
  const of = (name) => sums.get(name) ?? sums.set(name, { sum: 0, count: 0, failed: 0 }).get(name);
  for (const row of rows) {
    for (const [name, { score }] of Object.entries(row.scores)) {
      const known = of(name);
      if (typeof score === "number") [known.sum, known.count] = [known.sum + score, known.count + 1];
    }
    for (const name of Object.keys(row.scorerErrors ?? {})) of(name).failed += 1;
  }
  return sums;
}

function rowOf(result, at) {
  const [index, trial] = [result.index ?? at, result.trial_index ?? 0];
  const scores = Object.entries(result.scores ?? {}).map(([name, score]) => {
    const value = typeof score === "number" ? score : null;
    const metadata = own(result.score_metadata, name);
    return [name, metadata ? { score: value, metadata } : { score: value }];
  });
  const row = {
    id: `${index}.${trial}`,
    caseId: result.id ?? undefined,
    index,
    trial,
    input: result.input,
    expected: result.expected,
    output: result.error ? undefined : result.output,
    error: result.error ? String(result.error) : undefined,
    errorPlace: result.error_place ?? undefined,
    errorStack: result.error_stack ?? undefined,
    state: result.error ? "error" : "done",
    text: "",
    scores: Object.fromEntries(scores),
    scorerErrors: notEmpty(result.scorer_errors),
    classifications: result.classifications ?? {},
    metadata: result.metadata ?? {},
    tags: listOf(result.tags),
    duration: typeof result.seconds === "number" ? result.seconds : undefined,
    metrics: result.metrics ?? {},
    scorerMetrics: result.scorer_metrics ?? {},
    messages: listOf(result.messages),
  };
  if (Array.isArray(result.spans)) row.spans = result.spans;
  if (result.spans_cut) row.spansCut = result.spans_cut;
  return row;
}

const listOf = (value) => (Array.isArray(value) ? value : []);
const notEmpty = (record) => (record && Object.keys(record).length ? record : undefined);

// Returns the names in all of the records, each with the values that the records have.
function valuesByName(records, read) {
  const found = new Map();
  for (const record of records) {
    for (const [name, value] of Object.entries(record ?? {})) {
      if (!found.has(name)) found.set(name, []);
      const number = read(value);
      if (typeof number === "number") found.get(name).push(number);
    }
  }
  return [...found];
}

const sum = (values) => values.reduce((total, value) => total + value, 0);

function meansOf(records, read) {
  const byName = valuesByName(records, read);
  return Object.fromEntries(
    byName.map(([name, values]) => [
      name,
      { mean: values.length ? sum(values) / values.length : null, count: values.length },
    ]),
  );
}

function metricsOf(records) {
  const byName = valuesByName(records, (value) => value);
  return Object.fromEntries(
    byName.map(([name, values]) => [
      name,
      {
        mean: sum(values) / values.length,
        p50: quantile(values, 0.5),
        p95: quantile(values, 0.95),
        total: sum(values),
        count: values.length,
        unit: UNITS.get(name) ?? "tok",
      },
    ]),
  );
}

function quantile(values, share) {
  const ordered = [...values].sort((a, b) => a - b);
  const rank = Math.ceil(Number((share * ordered.length).toFixed(9)));
  return ordered[Math.max(rank, 1) - 1];
}

function countsOf(records) {
  const counts = new Map();
  for (const record of records)
    for (const name of Object.keys(record ?? {})) counts.set(name, (counts.get(name) ?? 0) + 1);
  return Object.fromEntries(counts);
}

function comparisonOf(summary) {
  const { status, reason } = summary?.comparison ?? {};
  return status === "skipped" ? { status, reason } : { status: "success" };
}
