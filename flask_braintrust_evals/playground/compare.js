// Finds the cases whose scores are better or worse than in an earlier run.

import { scoreOf } from "./records.js";

// Returns a map from each row of `now` that has a counterpart to { row, scores, verdict }.
export function compare(now, before) {
  const waiting = new Map();
  for (const row of before?.rows ?? []) {
    const key = keyOf(row);
    waiting.set(key, [...(waiting.get(key) ?? []), row]);
  }
  const compared = new Map();
  for (const row of now.rows) {
    const earlier = waiting.get(keyOf(row))?.shift();
    if (earlier) compared.set(row, compareRows(row, earlier));
  }
  return compared;
}

// Not by index: the data may have another order or other cases in the earlier run.
const keyOf = (row) => JSON.stringify([row.input, row.trial]);

function compareRows(row, earlier) {
  const finished = [row, earlier].every((each) => each.state === "done" || each.state === "error");
  const changes = [];
  for (const [name, { score }] of Object.entries(row.scores)) {
    const old = scoreOf(earlier, name);
    if (typeof score === "number" && typeof old === "number" && score !== old) changes.push([name, score - old]);
  }
  const scores = Object.fromEntries(changes);
  return { row: earlier, scores, verdict: finished ? verdict(row, earlier, scores) : "" };
}

function verdict(row, earlier, scores) {
  if (Boolean(row.error) !== Boolean(earlier.error)) return row.error ? "worse" : "better";
  const change = Object.values(scores).reduce((sum, each) => sum + each, 0);
  return change > 0 ? "better" : change < 0 ? "worse" : "";
}

export function inWords(run, compared) {
  const count = (word) => [...compared.values()].filter((each) => each.verdict === word).length;
  const [better, worse] = [count("better"), count("worse")];
  const missing = run.rows.length - compared.size;
  const rest = missing ? `, ${missing} not in the earlier run` : "";
  return `${better} better, ${worse} worse, ${compared.size - better - worse} as before${rest}`;
}
