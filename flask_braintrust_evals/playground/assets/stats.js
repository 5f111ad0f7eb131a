// Counts what came of a run, so far.

import { own, scoreOf } from "./records.js";
import { hasFailedScorers } from "./rows.js";

export const BINS = 10;

// Returns the bin of a score from 0 to 1.
const binOf = (value) => Math.min(BINS - 1, Math.max(0, Math.floor(value * BINS)));

// Returns, for each score and each scorer that failed, { name, count, mean, bins, failed, none }: `failed` is on how many
// cases its scorer failed, and `none` how many have no such score although nothing failed.
export function scoreStats(run) {
  const failing = new Set();
  for (const { scorerErrors } of run.rows) for (const name of Object.keys(scorerErrors ?? {})) failing.add(name);
  const names = [...run.scoreNames, ...[...failing].filter((name) => !run.scoreNames.includes(name))];
  return names.map((name) => statsOf(run.rows, name));
}

function statsOf(rows, name) {
  const stats = { name, count: 0, mean: null, bins: new Array(BINS).fill(0), failed: 0, none: 0 };
  let sum = 0;
  for (const row of rows) {
    const score = scoreOf(row, name);
    if (typeof score === "number") {
      stats.count += 1;
      sum += score;
      stats.bins[binOf(score)] += 1;
    } else if (own(row.scorerErrors, name) !== undefined) stats.failed += 1;
    else if (row.state === "done") stats.none += 1;
  }
  if (stats.count) stats.mean = sum / stats.count;
  return stats;
}

// Returns { durations, tokens, scorerTokens, scorerErrors } of the cases that are done: a list, two records that have the
// costs, too, and the number of cases on which a scorer has failed.
export function runStats(run) {
  const totals = { tokens: {}, scorerTokens: {}, scorerErrors: 0, durations: [] };
  for (const row of run.rows) {
    const { duration, ...used } = row.metrics ?? {};
    if (typeof duration === "number") totals.durations.push(duration);
    add(totals.tokens, used);
    add(totals.scorerTokens, row.scorerMetrics ?? {});
    if (hasFailedScorers(row)) totals.scorerErrors += 1;
  }
  return totals;
}

function add(total, more) {
  for (const [name, value] of Object.entries(more))
    if (typeof value === "number" && (name.endsWith("tokens") || name === "estimated_cost")) total[name] = (total[name] ?? 0) + value;
}
