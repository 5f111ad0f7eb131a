// Shows the scores of a case, with what explains them, and the scorers that failed.

import { changeOf } from "./columns.js";
import { element } from "./dom.js";
import { own } from "./records.js";
import { block, folded } from "./values_view.js";

// `known`: how the case compares with that of another run, if it does.
export function scoreTable(row, known) {
  const scores = Object.entries(row.scores ?? {});
  const failures = Object.entries(row.scorerErrors ?? {}).filter(([name]) => own(row.scores, name) === undefined);
  if (!scores.length && !failures.length) return [];
  const rows = [
    ...scores.map(([name, score]) => scoreRow(name, score, own(row.scorerErrors, name), own(known?.scores, name))),
    ...failures.map(([name, error]) => failedRow(name, error)),
  ];
  const head = element("tr", {}, ...["Score", "Value", "Why"].map((each) => element("th", { scope: "col" }, each)));
  const table = element("table", { className: "scores" }, element("thead", {}, head), element("tbody", {}, ...rows));
  return [element("section", { className: "part" }, element("h3", {}, "Scores"), table)];
}

function scoreRow(name, { score, metadata }, error, change) {
  const value = typeof score === "number" ? score.toFixed(score && Math.abs(score) < 0.01 ? 4 : 2) : "none";
  const why = metadata && Object.keys(metadata).length ? block(metadata) : "";
  const cell = element("td", { className: "number" }, value, ...(change ? [" ", changeOf(change)] : []));
  if (typeof score === "number") cell.classList.add(`s${Math.round(score * 10)}`);
  return element("tr", {}, element("th", { scope: "row" }, name), cell, element("td", {}, error ? errorText(error) : why));
}

function failedRow(name, error) {
  return element("tr", {}, element("th", { scope: "row" }, name), element("td", { className: "failed" }, "✗ failed"), element("td", {}, errorText(error)));
}

function errorText(error) {
  const [first, ...rest] = error.split("\n");
  const text = element("span", { className: "failed" }, first);
  return rest.length ? element("div", {}, text, folded("More", () => block(error))) : text;
}
