// Shows the results that a report has inside. report_page.py puts the report together.

import { asText, byId, element } from "./dom.js";
import { parseExactly } from "./exact_json.js";
import { fromCompared, fromResults } from "./read_results.js";
import { ResultsView } from "./results_view.js";
import { Share } from "./share.js";
import { Shown } from "./shown.js";

// What only the page has that is served by an application: other runs, and what is done with them.
for (const each of document.querySelectorAll("[data-page-only]")) each.remove();

// The report has the runs of a file of results and, in the same order, the runs that they are compared with.
const file = parseExactly(byId("report-data").textContent);
const runs = fromResults(file);
const others = fromCompared(file);

byId("results").hidden = false;
byId("results").removeAttribute("aria-labelledby");
byId("results").ariaLabel = "Results";
byId("results").prepend(element("h2", { className: "unseen" }, "Results")); // the heading that those of scores are below

const shown = new Shown();
new ResultsView(shown);
new Share(shown);

function open(at) {
  const run = runs[at];
  document.title = `Results: ${run.evaluator}`;
  byId("report-head").replaceChildren(...headOf(run, at));
  shown.open(run, others[at] ?? null);
}

function headOf(run, at) {
  const { said } = run;
  const title = runs.length > 1 ? chooser(at) : element("h1", {}, run.evaluator);
  const passed = said.passed === undefined ? "" : said.passed ? "passed" : "failed";
  const began = new Date(run.started).toLocaleString();
  const took = run.seconds === null ? "" : `${run.seconds.toFixed(1)} s`;
  const facts = [run.label, passed, began, took, said.experiment?.experimentName].filter(Boolean).join(" · ");
  const problems = [said.error, ...Object.values(said.too_low ?? {}), ...Object.values(said.worse ?? {}), ...(said.notes ?? [])].filter(Boolean);
  const parameters = Object.keys(run.parameters).length ? element("details", { className: "report-parameters" }, element("summary", {}, "Parameters"), element("pre", { tabIndex: 0 }, asText(run.parameters, 2))) : null;
  return [
    title,
    element("p", { className: "quiet report-facts" }, facts),
    problems.length ? element("ul", { className: "report-problems" }, ...problems.map((each) => element("li", {}, String(each)))) : null,
    parameters,
  ].filter(Boolean);
}

function chooser(at) {
  const options = runs.map((run, index) => element("option", { value: index }, run.evaluator));
  const select = element("select", { "aria-label": "Evaluator", onchange: () => open(Number(select.value)) }, ...options);
  select.value = at;
  return element("h1", {}, select);
}

open(0);
