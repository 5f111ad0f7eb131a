// Puts durations, tokens and costs into words.

import { seconds } from "./dom.js";

const COST = "estimated_cost";
const NAMES = new Map([
  ["tokens", "in all"],
  ["prompt_tokens", "in"],
  ["completion_tokens", "out"],
  ["prompt_cached_tokens", "cached"],
  ["completion_reasoning_tokens", "reasoning"],
]);

export const dollars = (value) => `$${value < 0.01 ? value.toPrecision(2) : value.toFixed(value < 1 ? 3 : 2)}`;

// Returns a number of tokens with separators between thousands.
export const counted = (value) => Math.round(value).toLocaleString("en-US");

// Returns for instance "12 in, 5 out, $0.003"; empty: there are neither tokens nor costs.
export function tokensInWords(metrics) {
  const known = [...NAMES].filter(([name]) => typeof metrics[name] === "number" && metrics[name] > 0);
  const parts = known.filter(([name]) => name !== "tokens" || known.length === 1);
  const words = parts.map(([name, word]) => (name === "tokens" ? `${counted(metrics[name])} tokens` : `${counted(metrics[name])} ${word}`));
  if (typeof metrics[COST] === "number") words.push(dollars(metrics[COST]));
  const first = metrics.time_to_first_token;
  if (typeof first === "number") words.push(`first token after ${seconds(first)}`);
  return words.join(", ");
}

// Returns { p50, p95, total, count } of numbers, or null if there are none.
export function spread(values) {
  if (!values.length) return null;
  const ordered = Float64Array.from(values).sort();
  return { p50: quantile(ordered, 0.5), p95: quantile(ordered, 0.95), total: ordered.reduce((sum, each) => sum + each, 0), count: ordered.length };
}

// Returns a quantile of numbers in their order, at least one; cli/reports/quantiles.py does the same.
export function quantile(ordered, share) {
  const rank = Math.ceil(Number((share * ordered.length).toFixed(9)));
  return ordered[Math.max(rank, 1) - 1];
}
