// What is shown of an evaluator that has not been run yet: what it does, and its own first cases.

import { asText, byId, element } from "./dom.js";
import { countOf } from "./source.js";

const SHOWN = 200; // characters of a value

// `start()` runs the evaluator with what the form has.
export function drawEmpty(name, described, start) {
  const { description, has_data: hasData, cases, examples = [] } = described;
  const button = element("button", { type: "button", className: "primary", onclick: start }, "Run it");
  byId("empty").replaceChildren(
    element("h2", {}, `${name} has not been run here yet`),
    ...(description ? [element("p", {}, description)] : []),
    element("p", {}, what(described)),
    ...(examples.length ? [table(examples)] : []),
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

function table(examples) {
  const names = ["input", "expected"].filter((name) => examples.some((each) => Object.hasOwn(each, name)));
  const short = (value) => {
    const text = asText(value);
    return text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text;
  };
  const rows = examples.map((each) => element("tr", {}, ...names.map((name) => element("td", { dir: "auto" }, short(each[name])))));
  return element(
    "table",
    { className: "examples" },
    element("caption", { className: "quiet" }, examples.length === 1 ? "Its first case" : `Its first ${examples.length} cases`),
    element("thead", {}, element("tr", {}, ...names.map((name) => element("th", { scope: "col" }, name)))),
    element("tbody", {}, ...rows),
  );
}
