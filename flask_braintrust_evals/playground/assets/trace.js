// Shows the spans of a case as a waterfall: when each began, how long it took, and what is recorded on it.

import { conversation, messagesOf } from "./conversation.js";
import { element, seconds } from "./dom.js";
import { tokensInWords } from "./metrics.js";
import { block, facts, folded, part } from "./values_view.js";

const MODELS = ["model", "gen_ai.response.model", "gen_ai.request.model"];
const DEEPEST = 12; // levels that are indented

// `leftOut`: how many more spans there were.
export function waterfall(spans, leftOut = 0) {
  const tree = inOrder(spans);
  const [began, ended] = [Math.min(...spans.map(({ start }) => start)), Math.max(...spans.map(({ end }) => end))];
  const length = ended - began || 1;
  const rows = tree.map(({ span, depth, orphan }) => spanRow(span, depth, orphan, (span.start - began) / length, (span.end - span.start) / length));
  const scale = element("div", { className: "scale quiet", "aria-hidden": "true" }, element("span", {}, "0"), element("span", {}, seconds(length / 2)), element("span", {}, seconds(length)));
  return element("div", { className: "waterfall" }, scale, ...rows, leftOut ? note(`${leftOut} more ${leftOut === 1 ? "span is" : "spans are"} not shown: there were too many.`) : null);
}

// Returns the spans as the rows of a tree, each below the one that it belongs to.
export function inOrder(spans) {
  const known = new Set(spans.map(({ id }) => id));
  const below = new Map();
  for (const span of [...spans].sort((a, b) => a.start - b.start || b.end - a.end)) {
    const above = known.has(span.parent_id) && span.parent_id !== span.id ? span.parent_id : null;
    if (!below.has(above)) below.set(above, []);
    below.get(above).push(span);
  }
  const rows = [];
  const seen = new Set();
  const add = (first) => {
    const waiting = [[first, 0]]; // in place of calls, of which there may be too many
    while (waiting.length) {
      const [span, depth] = waiting.pop();
      if (seen.has(span.id)) continue;
      seen.add(span.id);
      rows.push({ span, depth, orphan: Boolean(span.parent_id) && !known.has(span.parent_id) });
      for (const each of [...(below.get(span.id) ?? [])].reverse()) waiting.push([each, depth + 1]);
    }
  };
  for (const span of below.get(null) ?? []) add(span);
  for (const span of spans) add(span); // whose parents are each other: nobody's spans, but they are shown
  return rows;
}

function spanRow(span, depth, orphan, from, share) {
  const name = element("span", { className: "span-name" }, span.error ? element("span", { className: "failed" }, "✗ ") : null, span.name || "(no name)");
  name.style.paddingInlineStart = `${Math.min(depth, DEEPEST)}rem`;
  const bar = element("span", { className: `span-bar ${span.error ? "bad" : kindOf(span)}` });
  bar.style.insetInlineStart = `${100 * clamped(from)}%`;
  bar.style.inlineSize = `${100 * clamped(share)}%`;
  const summary = element("summary", {}, name, element("span", { className: "tag" }, span.type ?? "span"), element("span", { className: "span-track" }, bar), element("span", { className: "number" }, seconds(span.end - span.start)));
  const made = element("details", { className: "span" }, summary);
  made.addEventListener("toggle", () => made.open && made.children.length === 1 && made.append(contents(span, orphan)));
  return made;
}

const clamped = (value) => Math.min(1, Math.max(0, value));
const kindOf = ({ type }) => (["task", "llm", "tool", "score", "classifier", "eval"].includes(type) ? type : "other");

function contents(span, orphan) {
  const { metadata, metrics } = span;
  const model = MODELS.map((name) => metadata?.[name]).find((each) => typeof each === "string");
  const words = [
    ["Began", `${seconds(span.start)} after the case`],
    model ? ["Model", model] : null,
    metrics ? ["Tokens and cost", tokensInWords(metrics)] : null,
  ].filter((each) => each && each[1]);
  return element(
    "div",
    { className: "span-contents" },
    orphan ? note("The span above it is not shown.") : null,
    facts(words),
    ...failure(span),
    ...inAndOut(span),
    ...part("Expected", span.expected ?? undefined, "h4"),
    ...part("Scores", span.scores ?? undefined, "h4"),
    metadata === undefined || metadata === null ? null : folded("Metadata", () => block(metadata)),
    metrics ? folded("Metrics", () => block(metrics)) : null,
    span.cut ? note("Some of it is left out here: it is too large for this page.") : null,
  );
}

function failure({ error, error_stack: stack }) {
  const said = error ? [element("p", { className: "problem" }, error)] : [];
  return stack ? [...said, folded("Stack trace", () => block(stack))] : said;
}

function inAndOut(span) {
  const given = span.type === "llm" ? messagesOf(span.input, "user") : null;
  const answer = span.type === "llm" ? messagesOf(span.output, "assistant") : null;
  if (!given && !answer) return [...part("Input", span.input, "h4"), ...part("Output", span.output, "h4")];
  return [
    ...(given ? [element("h4", {}, "Conversation"), conversation([...given, ...(answer ?? [])])] : part("Input", span.input, "h4")),
    ...(given && answer ? [] : answer ? [element("h4", {}, "Answer"), conversation(answer)] : part("Output", span.output, "h4")),
    folded("As recorded", () => [...part("Input", span.input, "h4"), ...part("Output", span.output, "h4")]),
  ];
}

const note = (text) => element("p", { className: "quiet" }, text);
