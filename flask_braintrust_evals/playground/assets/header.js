// The header of a run: how it goes, or how it went.

import { byId, element, seconds } from "./dom.js";
import { counted, dollars, spread, tokensInWords } from "./metrics.js";
import { runStats } from "./stats.js";

const EARLY = 2; // seconds before which nothing is said of the time that is left

export class RunHeader {
  #filters;
  #clock = null;
  #drawn = "";

  // `filters` are those of the table: a click on a number of failures shows these.
  constructor(filters) {
    this.#filters = filters;
  }

  show(run) {
    drawProgress(run);
    this.#drawFacts(run);
    clearInterval(this.#clock);
    // Time passes although nothing happens.
    if (run.state === "running") this.#clock = setInterval(() => this.#drawFacts(run), 1000);
  }

  #drawFacts(run) {
    const entries = factsOf(run);
    const key = JSON.stringify([entries, this.#filters.key]);
    if (key === this.#drawn) return;
    this.#drawn = key;
    const place = byId("run-facts");
    const focused = place.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    place.hidden = !entries.length;
    place.replaceChildren(...entries.map((each) => this.#fact(each)));
    if (focused) place.querySelector(`[data-key="${focused}"]`)?.focus();
  }

  #fact({ name, text, kind, title = "" }) {
    if (!kind) return element("div", { title }, element("dt", {}, name), element("dd", {}, text));
    const filter = { kind, name: "" };
    const button = element("button", { type: "button", className: "link failed", "aria-pressed": String(this.#filters.has(filter)), title: "Show these cases only", onclick: () => this.#filters.toggle(filter) }, text);
    button.dataset.key = kind;
    return element("div", {}, element("dt", {}, name), element("dd", {}, button));
  }
}

function drawProgress(run) {
  const bar = byId("progress");
  bar.hidden = run.state !== "running";
  if (run.total) [bar.max, bar.value] = [run.total, run.done];
  else bar.removeAttribute("value");
  const of = run.total ? ` of ${run.total}` : "";
  const failed = run.failed ? `, ${run.failed} failed` : "";
  byId("status").textContent = `${run.evaluator}: ${run.state}, ${run.done}${of} done${failed}`;
}

// Returns a list of { name, text, kind, title }. Those with a kind are numbers of cases, which a filter of it shows.
function factsOf(run) {
  const { durations, tokens, scorerTokens, scorerErrors } = runStats(run);
  const elapsed = run.seconds ?? (run.state === "running" ? (performance.now() - run.began) / 1000 : null);
  const took = spread(durations);
  const facts = [];
  if (elapsed !== null) facts.push({ name: "Elapsed", text: clock(elapsed) });
  const left = timeLeft(run, elapsed);
  if (left !== null) facts.push({ name: "Left", text: `about ${clock(left)}` });
  if (took) facts.push({ name: "Task p50 / p95", text: `${seconds(took.p50)} / ${seconds(took.p95)}`, title: `Durations of ${counted(took.count)} tasks: half took no longer than the first, and 95 % no longer than the second` });
  addTokens(facts, tokens, "Tokens", "Cost");
  addTokens(facts, scorerTokens, "Tokens of scorers", "Cost of scorers");
  if (run.failed) facts.push({ name: "Task failed", text: casesOf(run.failed), kind: "task" });
  if (scorerErrors) facts.push({ name: "Scorers failed", text: `on ${casesOf(scorerErrors)}`, kind: "scorers" });
  return facts;
}

const casesOf = (count) => `${counted(count)} ${count === 1 ? "case" : "cases"}`;

function addTokens(facts, used, tokens, cost) {
  const { estimated_cost: spent, ...others } = used;
  const total = others.tokens ?? (others.prompt_tokens ?? 0) + (others.completion_tokens ?? 0);
  if (total) facts.push({ name: tokens, text: counted(total), title: tokensInWords(others) });
  if (typeof spent === "number") facts.push({ name: cost, text: dollars(spent) });
}

// Returns how many seconds a run still takes if it goes on as before, or null if that is not known.
function timeLeft(run, elapsed) {
  if (run.state !== "running" || !run.total || !run.done || elapsed < EARLY) return null;
  return (elapsed / run.done) * (run.total - run.done);
}

// Returns for instance "0.4 s", "12 s" or "3:05 min".
function clock(value) {
  if (value < 10) return seconds(value);
  if (value < 60) return `${Math.round(value)} s`;
  const all = Math.round(value);
  return `${Math.floor(all / 60)}:${String(all % 60).padStart(2, "0")} min`;
}
