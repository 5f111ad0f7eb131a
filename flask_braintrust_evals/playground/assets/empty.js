// What is shown of an evaluator that has not been run yet: what it does, and its own first cases.

import { caseTable, countOf } from "./case_table.js";
import { byId, element } from "./dom.js";

// `start()` runs the evaluator with what the form has.
export function drawEmpty(name, described, start) {
  const { description, has_data: hasData, cases, examples = [] } = described;
  const button = element("button", { type: "button", className: "primary", onclick: start }, "Run it");
  byId("empty").replaceChildren(
    element("h2", {}, `${name} has not been run here yet`),
    ...(description ? [element("p", {}, description)] : []),
    element("p", {}, what(described)),
    ...(examples.length ? [caseTable(examples, examples.length === 1 ? "Its first case" : `Its first ${examples.length} cases`)] : []),
    element(
      "p",
      {},
      hasData
        ? `It has ${typeof cases === "number" ? countOf(cases) : "cases"} of its own. Choose others in the form, or `
        : "It has no cases of its own: type or paste some into the form, or choose a file. Then ",
      button,
    ),
    element("p", { className: "quiet" }, "Each case gets a row as soon as it starts. Runs are kept in this browser, and are listed here."),
  );
}

function what({ scores, classifiers }) {
  const scorers = scores.map((each) => each.name);
  const labels = classifiers.map((each) => each.name);
  const parts = [
    scorers.length ? `scores each output by ${scorers.join(", ")}` : "",
    labels.length ? `labels it by ${labels.join(", ")}` : "",
  ].filter(Boolean);
  return parts.length ? `It ${parts.join(", and ")}.` : "It has no scorers: a run shows the outputs only.";
}
