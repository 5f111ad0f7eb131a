// Writes what "flask evals run --json" writes: docs/results.md. cli/reports/result_json.py does the same.

import { quantile } from "./metrics.js";
import { isDone } from "./rows.js";

export const FORMAT = "flask-braintrust-evals/results";
export const VERSION = 1;
const UNITS = new Map([["duration", "s"], ["estimated_cost", "$"], ["retries", ""]]);

// Returns the results of a run, which is plain data as run.js has it. Cases that are not done are only counted.
export function toResults(run) {
  const done = run.rows
    .filter(isDone)
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
  return Object.fromEntries(byName.map(([name, values]) => [name, metricOf(name, values)]));
}

function metricOf(name, values) {
  const ordered = [...values].sort((a, b) => a - b);
  return {
    mean: sum(values) / values.length,
    p50: quantile(ordered, 0.5),
    p95: quantile(ordered, 0.95),
    total: sum(values),
    count: values.length,
    unit: UNITS.get(name) ?? "tok",
  };
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
