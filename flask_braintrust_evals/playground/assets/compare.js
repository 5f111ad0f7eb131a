// Compares a run with an earlier one: case by case, score by score, and their parameters.
// cli/judging/baseline.py does the same for the command line. Both pass the files in tests/comparisons.

import { chanceOf, NOISE, TOLERANCE } from "./chance.js";
import { own, scoreOf } from "./records.js";
import { isDone } from "./rows.js";
import { canonical, sameValue } from "./values.js";

// Returns what tells a case from others: its id if it has one, or else its input. Not its place: the data may have
// another order, or other cases, in the earlier run.
const keyOf = remembered((row) => (row.caseId === undefined || row.caseId === null ? `input ${canonical(row.input)}` : `id ${row.caseId}`));

// Returns what tells a row from others: its case, and which trial of it.
const trialOf = remembered((row) => `${row.trial} ${keyOf(row)}`);

// Returns a function that computes something of a row once: comparisons are made again each time that a run is drawn.
function remembered(compute) {
  const known = new WeakMap();
  return (row) => {
    if (!known.has(row)) known.set(row, compute(row));
    return known.get(row);
  };
}

// Returns a map from each row of `now` that has a counterpart to { row, scores, verdict, same }. `scores` are changes
// by name, and `same` tells whether both outputs are the same value.
export function compare(now, before) {
  const waiting = grouped(before?.rows ?? [], trialOf);
  const compared = new Map();
  for (const row of now.rows) {
    const earlier = waiting.get(trialOf(row))?.shift();
    if (earlier) compared.set(row, knownComparison(row, earlier));
  }
  return compared;
}

// A comparison is made each time that something is drawn, and rows that have ended do not change any more.
function knownComparison(row, earlier) {
  const known = comparisons.get(row);
  if (known?.row === earlier) return known;
  const made = compareRows(row, earlier);
  if (isDone(row) && isDone(earlier)) comparisons.set(row, made);
  return made;
}

const comparisons = new WeakMap();

function compareRows(row, earlier) {
  const changes = [];
  for (const [name, { score }] of Object.entries(row.scores ?? {})) {
    const old = scoreOf(earlier, name);
    if (typeof score === "number" && typeof old === "number" && Math.abs(score - old) > TOLERANCE)
      changes.push([name, score - old]);
  }
  const scores = Object.fromEntries(changes);
  const finished = isDone(row) && isDone(earlier);
  const same = !row.error && !earlier.error && sameValue(row.output ?? null, earlier.output ?? null);
  return { row: earlier, scores, verdict: finished ? verdict(row, earlier, scores) : "", same };
}

function verdict(row, earlier, scores) {
  if (Boolean(row.error) !== Boolean(earlier.error)) return row.error ? "worse" : "better";
  const change = Object.values(scores).reduce((sum, each) => sum + each, 0);
  return change > TOLERANCE ? "better" : change < -TOLERANCE ? "worse" : "";
}

// Returns how many cases are better, worse and as before, in words.
export function inWords(run, compared) {
  const count = (word) => [...compared.values()].filter((each) => each.verdict === word).length;
  const [better, worse] = [count("better"), count("worse")];
  const missing = run.rows.length - compared.size;
  const rest = missing ? `, ${missing} not in the earlier run` : "";
  return `${better} better, ${worse} worse, ${compared.size - better - worse} as before${rest}`;
}

// Returns { scores, missing, cases, onlyBefore, onlyNow }. `scores` is a list of { name, before, now, cases, better,
// worse, chance }: trials of a case count as one, with the mean of their scores. `missing` names the scores that only
// the earlier run has; the others are numbers of cases.
export function compareScores(now, before) {
  const ours = grouped(now.rows.filter(isDone), keyOf);
  const theirs = grouped(before.rows.filter(isDone), keyOf);
  const both = [...ours.keys()].filter((key) => theirs.has(key));
  const [names, known] = [namesOf(before), new Set(namesOf(now))];
  const changes = names.flatMap((name) => {
    const pairs = both
      .map((key) => [meanOf(theirs.get(key), name), meanOf(ours.get(key), name)])
      .filter(([old, value]) => old !== null && value !== null);
    return known.has(name) && pairs.length ? [changeOf(name, pairs)] : [];
  });
  return {
    scores: changes,
    missing: names.filter((name) => !known.has(name)),
    cases: both.length,
    onlyBefore: theirs.size - both.length,
    onlyNow: ours.size - both.length,
  };
}

function changeOf(name, pairs) {
  const differences = pairs.map(([before, now]) => now - before);
  return {
    name,
    before: mean(pairs.map(([before]) => before)),
    now: mean(pairs.map(([, now]) => now)),
    cases: pairs.length,
    better: differences.filter((each) => each > TOLERANCE).length,
    worse: differences.filter((each) => each < -TOLERANCE).length,
    chance: chanceOf(differences),
  };
}

// Returns "better", "worse" or "": whether the mean of a score has changed at all.
export function direction({ before, now }) {
  return now - before > TOLERANCE ? "better" : now - before < -TOLERANCE ? "worse" : "";
}

// Returns in words whether the change of a score is more than noise, as the command line does.
export function judged(change) {
  const way = direction(change);
  if (!way && !change.better) return "no case has another score";
  if (!way) return "the mean is as before";
  return `${way === "better" ? "rose" : "fell"}, which ${likely(change)}`;
}

// Returns whether a change is more than noise, in the words of the command line.
export function likely({ chance }) {
  const p = chance < 0.0005 ? "p < 0.001" : `p = ${chance.toFixed(3)}`;
  return `${chance > NOISE ? "may be chance" : "is hardly chance"} (${p})`;
}

// Returns the change of a mean. The difference of two percentages is given in percentage points.
export function points({ before, now }) {
  const change = 100 * (now - before);
  const sign = change > 0 ? "+" : "−";
  return Math.abs(change) < 0.05 ? "±0.0 percentage points" : `${sign}${Math.abs(change).toFixed(1)} percentage points`;
}

// Returns the parameters that differ, as { name, before, now }. One that was not given is undefined: it had its default.
export function changedParameters(now, before) {
  const [ours, theirs] = [now.parameters ?? {}, before.parameters ?? {}];
  const names = new Set([...Object.keys(theirs), ...Object.keys(ours)]);
  return [...names]
    .map((name) => ({ name, before: own(theirs, name), now: own(ours, name) }))
    .filter((each) => !sameValue(each.before, each.now));
}

// Returns the names of the scores that are a number in at least one case.
function namesOf(run) {
  const isNumber = (row) => (name) => typeof scoreOf(row, name) === "number";
  return [...new Set(run.rows.filter(isDone).flatMap((row) => Object.keys(row.scores ?? {}).filter(isNumber(row))))];
}

function meanOf(rows, name) {
  const values = rows.map((row) => scoreOf(row, name)).filter((value) => typeof value === "number");
  return values.length ? mean(values) : null;
}

const mean = (values) => values.reduce((sum, each) => sum + each, 0) / values.length;

function grouped(rows, key) {
  const found = new Map();
  for (const row of rows) {
    const name = key(row);
    if (!found.has(name)) found.set(name, []);
    found.get(name).push(row);
  }
  return found;
}
