// The kinds of filters: what each is called, which rows it lets pass, and which there are for a run.

import { asText } from "./dom.js";
import { own, scoreOf } from "./records.js";
import { hasFailedScorers } from "./rows.js";
import { BINS, scoreStats } from "./stats.js";

const MAX_CHOICES = 100; // choices of one kind
const LONGEST = 60; // characters of a value that is a choice

const KINDS = {
  state: { words: ({ name }) => `state: ${name}`, test: (row, { name }) => row.state === name },
  task: { words: () => "the task failed", test: (row) => Boolean(row.error) },
  scorers: { words: () => "a scorer failed", test: hasFailedScorers },
  scorer: { words: ({ name }) => `${name} failed`, test: (row, { name }) => own(row.scorerErrors, name) !== undefined },
  unscored: {
    words: ({ name }) => `without ${name}`,
    test: (row, { name }) => row.state === "done" && typeof scoreOf(row, name) !== "number" && own(row.scorerErrors, name) === undefined,
  },
  score: { words: ({ name }) => name, test: (row, filter) => isWithin(scoreOf(row, filter.name), filter) },
  tag: { words: ({ name }) => `tag: ${name}`, test: (row, { name }) => (row.tags ?? []).includes(name) },
  label: { words: ({ name, value }) => `${name}: ${value}`, test: (row, { name, value }) => labelsOf(row, name).includes(value) },
  metadata: { words: ({ name, value }) => `${name} = ${value}`, test: (row, { name, value }) => valueIn(row.metadata, name) === value },
};

// Returns what a filter is called, which tells it apart from others.
export const nameOf = (filter) => KINDS[filter.kind].words(filter) + (filter.kind === "score" ? ` ${filter.from}–${filter.to}` : "");

// Returns what is written on it. The range of a score is in fields beside that.
export const wordsOf = (filter) => KINDS[filter.kind].words(filter);

export const passes = (filter, row) => KINDS[filter.kind].test(row, filter);

// A bin of a histogram has its lower end and not its upper one, but for the last.
function isWithin(score, { from, to }) {
  if (typeof score !== "number") return false;
  return score >= from && (score < to || to >= 1 || !isEdge(from, to)) && score <= Math.max(to, from);
}

const isEdge = (from, to) => Math.abs(to - from - 1 / BINS) < 1e-9;

// A file that somebody else has made may have anything for a list of { id, label }.
function labelsOf(row, name) {
  return [own(row.classifications, name) ?? []].flat().map((each) => asText(each?.label ?? each?.id ?? each));
}

function valueIn(record, name) {
  const value = own(record, name);
  return value === undefined ? undefined : asText(value).slice(0, LONGEST);
}

// Returns a list of { title, filters }, where filters are a list of { filter, text }.
export function choices(run) {
  if (!run) return [];
  const counts = { state: new Map(), tag: new Map(), label: new Map(), metadata: new Map() };
  for (const row of run.rows) {
    count(counts.state, { kind: "state", name: row.state });
    for (const name of row.tags ?? []) count(counts.tag, { kind: "tag", name });
    for (const name of Object.keys(row.classifications ?? {}))
      for (const value of labelsOf(row, name)) count(counts.label, { kind: "label", name, value });
    for (const name of Object.keys(row.metadata ?? {}))
      count(counts.metadata, { kind: "metadata", name, value: valueIn(row.metadata, name) });
  }
  const stats = scoreStats(run);
  return [
    { title: "State", filters: listed(counts.state) },
    { title: "Range of a score", filters: stats.filter((each) => each.count).map(({ name }) => ({ filter: { kind: "score", name, from: 0, to: 0.5 }, text: `${name}…` })) },
    { title: "Failures", filters: failures(run, stats) },
    { title: "Tags", filters: listed(counts.tag) },
    { title: "Labels", filters: listed(counts.label) },
    { title: "Metadata", filters: listed(counts.metadata) },
  ].filter(({ filters }) => filters.length);
}

function failures(run, stats) {
  const found = stats.filter(({ failed }) => failed).map(({ name, failed }) => ({ filter: { kind: "scorer", name }, text: `${name} failed (${failed})` }));
  return run.failed ? [{ filter: { kind: "task", name: "" }, text: `the task failed (${run.failed})` }, ...found] : found;
}

function count(counts, filter) {
  const key = nameOf(filter);
  const known = counts.get(key);
  if (known) known.count += 1;
  else if (counts.size < 10 * MAX_CHOICES) counts.set(key, { filter, count: 1 });
}

// Values that every case has its own of, such as ids, are no use as filters: the most frequent ones come first.
function listed(counts) {
  return [...counts]
    .sort(([a, { count: one }], [b, { count: other }]) => other - one || (a < b ? -1 : 1))
    .slice(0, MAX_CHOICES)
    .map(([text, { filter, count }]) => ({ filter, text: `${text} (${count})` }));
}
