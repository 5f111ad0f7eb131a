// Shows how a run compares with another one: its parameters, its scores, and its cases in numbers.

import { changedParameters, compareScores, direction, inWords, judged, points } from "./compare.js";
import { diff, marked } from "./diff.js";
import { element, percent } from "./dom.js";
import { comparable } from "./values.js";

const LONG = 200; // characters of a parameter above which its words are compared

let drawn = {}; // what was drawn last: a test of thousands of cases takes a while

export function drawComparison(place, { run, other, compared }) {
  place.hidden = !other;
  if (!other) return place.replaceChildren();
  const key = { run, other, done: run.done, state: run.state };
  if (Object.entries(key).every(([name, value]) => drawn[name] === value) && place.childElementCount) return undefined;
  drawn = key;
  const open = place.querySelector("details")?.open ?? true;
  const summary = element("summary", {}, `Compared with ${nameOf(other)}: ${inWords(run, compared)}`);
  const parts = run.state === "running" ? [element("p", { className: "quiet" }, "Scores are compared when the run has ended.")] : scores(run, other);
  return place.replaceChildren(element("details", { open }, summary, element("div", { className: "comparison-parts" }, ...parameters(run, other), ...parts)));
}

// Returns what people call a run: its label, and when it began.
function nameOf(run) {
  const began = new Date(run.started).toLocaleString();
  return run.label ? `“${run.label}” (${began})` : `the run of ${began}`;
}

function parameters(run, other) {
  const changed = changedParameters(run, other);
  if (!changed.length) return [element("p", { className: "quiet" }, "Both runs have the same parameters.")];
  const rows = changed.map(({ name, before, now }) => [name, ...valuesOf(before, now)]);
  return [table("Parameters that differ", ["parameter", "before", "now"], rows)];
}

// Long texts, such as prompts, are shown with the words in which they differ.
function valuesOf(before, now) {
  const [old, value] = [before, now].map((each) => (each === undefined ? "not given" : comparable(each)));
  const pieces = Math.max(old.length, value.length) > LONG ? diff(old, value) : null;
  if (!pieces) return [text(old), text(value)];
  return [{ gone: "del" }, { new: "ins" }].map((tags) => element("pre", { tabIndex: 0 }, ...marked(pieces, tags)));
}

const text = (value) => (value.includes("\n") ? element("pre", { tabIndex: 0 }, value) : value);

function scores(run, other) {
  const { scores: changes, missing, cases, onlyBefore, onlyNow } = compareScores(run, other);
  const rows = changes.map((each) => [each.name, whole(percent(each.before)), whole(percent(each.now)), change(each), each.better, each.worse, judged(each)]);
  const notes = [
    cases ? "" : "No case is in both runs: cases are the same if they have the same id or, without one, the same input.",
    onlyBefore || onlyNow ? `Only cases that both runs have are compared. ${onlyBefore} are only in the earlier one, and ${onlyNow} only in this one.` : "",
    missing.length ? `Only the earlier run has: ${missing.join(", ")}.` : "",
  ].filter(Boolean);
  const head = ["score", "before", "now", "change", "better", "worse", "is it more than chance?"];
  return [rows.length ? table("Scores", head, rows) : null, ...notes.map((each) => element("p", { className: "quiet" }, each))].filter(Boolean);
}

const whole = (value) => value.replaceAll(" ", "\u00A0"); // on one line

function change(each) {
  const way = direction(each);
  const mark = { better: "▲ ", worse: "▼ " }[way] ?? "";
  return element("span", { className: { better: "up", worse: "down" }[way] ?? "" }, `${mark}${points(each)}`);
}

function table(caption, head, rows) {
  const heading = (text, scope) => element("th", { scope, dir: "auto" }, text);
  return element(
    "table",
    { className: "comparison-table" },
    element("caption", {}, caption),
    element("thead", {}, element("tr", {}, ...head.map((each) => heading(each, "col")))),
    element("tbody", {}, ...rows.map(([first, ...others]) => element("tr", {}, heading(first, "row"), ...others.map((each) => element("td", { dir: "auto" }, each))))),
  );
}
