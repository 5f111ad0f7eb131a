// Shows the scores of a run: for each its mean as a bar, and the distribution of its values.

import { direction, points } from "./compare.js";
import { element, percent } from "./dom.js";
import { scoreOf } from "./records.js";

const BINS = 10;

export function scoreCards(run, earlier) {
  return run.scoreNames.map((name) => {
    const values = valuesOf(run, name);
    const before = earlier ? mean(valuesOf(earlier, name)) : null;
    return card(name, values, before);
  });
}

function valuesOf(run, name) {
  return run.rows.flatMap((row) => {
    const value = scoreOf(row, name);
    return value === undefined || value === null ? [] : [value];
  });
}

function mean(values) {
  return values.length ? values.reduce((sum, value) => sum + value, 0) / values.length : null;
}

function card(name, values, before) {
  const average = mean(values);
  const shown = average === null ? "no scores" : percent(average);
  const change = average === null || before === null ? null : { before, now: average };
  const way = change && direction(change);
  const mark = { better: "▲ ", worse: "▼ " }[way] ?? "";
  const words = change ? `, ${mark}${points(change)} against the earlier run` : "";
  return element(
    "section",
    { className: "score-card", "aria-label": name },
    element("h3", {}, name),
    element("div", {}, shown, element("span", { className: { better: "up", worse: "down" }[way] ?? "" }, words)),
    element("meter", { min: 0, max: 1, value: average ?? 0, "aria-label": `mean of ${name}` }),
    histogram(values),
    element("div", { className: "quiet axis", "aria-hidden": "true" }, element("span", {}, "0"), element("span", {}, `${values.length} values`), element("span", {}, "1")),
  );
}

function histogram(values) {
  const counts = new Array(BINS).fill(0);
  for (const value of values) counts[Math.min(BINS - 1, Math.floor(value * BINS))] += 1;
  const most = Math.max(1, ...counts);
  const words = counts.flatMap((count, bin) => (count ? [`${count} from ${bin / BINS} to ${(bin + 1) / BINS}`] : []));
  const bars = counts.map((count, bin) => {
    const bar = element("span", { title: `${bin / BINS} to ${(bin + 1) / BINS}: ${count}` });
    bar.style.height = `${(100 * count) / most}%`;
    return bar;
  });
  return element("div", { className: "histogram", role: "img", "aria-label": `Distribution: ${words.join(", ") || "none"}` }, ...bars);
}
