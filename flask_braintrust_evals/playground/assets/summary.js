// Shows the scores of a run: for each its mean, how many cases it is the mean of, and the distribution of its values.

import { element, percent } from "./dom.js";
import { BINS, scoreStats } from "./stats.js";

// The cards of a run, which are kept while it goes on, so that a click begins and ends on the same element.
export class ScoreCards {
  #place;
  #filters;
  #cards = new Map(); // from the name of a score to { card, drawn }

  // `filters` are those of the table: a click on a part of a card chooses the cases that it stands for.
  constructor(place, filters) {
    this.#place = place;
    this.#filters = filters;
  }

  show(run) {
    const all = scoreStats(run);
    for (const stats of all) this.#draw(stats, run);
    for (const [name, { card }] of this.#cards) {
      if (all.some((each) => each.name === name)) continue;
      card.remove();
      this.#cards.delete(name);
    }
    return all.map(({ name }) => name);
  }

  #draw(stats, run) {
    const key = JSON.stringify([stats, run.id, this.#filters.key]);
    const known = this.#cards.get(stats.name);
    if (known?.drawn === key) return;
    const card = known?.card ?? this.#place.appendChild(element("section", { className: "score-card", "aria-label": stats.name }));
    const focused = card.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    card.classList.toggle("has-failures", stats.failed > 0);
    card.replaceChildren(...this.#contents(stats));
    if (focused) card.querySelector(`[data-key="${focused}"]`)?.focus();
    this.#cards.set(stats.name, { card, drawn: key });
  }

  #contents(stats) {
    return [
      element("h3", {}, stats.name),
      element("div", { className: "mean" }, stats.mean === null ? "no scores" : percent(stats.mean)),
      this.#count(stats),
      meanBar(stats),
      this.#histogram(stats),
    ];
  }

  // Says of how many cases the mean is, as soon as these are not all of them.
  #count({ name, count, failed, none }) {
    const all = count + failed + none;
    if (!failed && !none) return element("p", { className: "quiet" }, `${count} ${count === 1 ? "case" : "cases"}`);
    const parts = [element("span", {}, `${count} of ${all} scored`)];
    if (failed) parts.push(", ", this.#toggle(`${failed} failed`, { kind: "scorer", name }, "link failed"));
    if (none) parts.push(", ", this.#toggle(`${none} without`, { kind: "unscored", name }, "link"));
    return element("p", { className: "quiet" }, ...parts);
  }

  #histogram({ name, bins }) {
    const most = Math.max(1, ...bins);
    const words = bins.flatMap((count, bin) => (count ? [`${count} from ${bin / BINS} to ${(bin + 1) / BINS}`] : []));
    const bars = bins.map((count, bin) => {
      const title = `${bin / BINS} to ${(bin + 1) / BINS}: ${count} ${count === 1 ? "case" : "cases"}`;
      const bar = count ? this.#toggle("", { kind: "score", name, from: bin / BINS, to: (bin + 1) / BINS }, "bin", title) : element("span", { className: "bin" });
      const fill = element("span", { className: "fill" });
      fill.style.height = count ? `max(3px, ${(100 * count) / most}%)` : "1px";
      bar.append(fill);
      return bar;
    });
    const axis = element("div", { className: "quiet axis", "aria-hidden": "true" }, element("span", {}, "0"), element("span", {}, "1"));
    return element("div", {}, element("div", { className: "histogram", role: "group", "aria-label": `Distribution: ${words.join(", ") || "none"}` }, ...bars), axis);
  }

  #toggle(text, filter, className, title = "") {
    const on = this.#filters.has(filter);
    const button = element("button", { type: "button", className, "aria-pressed": String(on), title: title || "Show these cases only", onclick: () => this.#filters.toggle(filter) }, text);
    button.dataset.key = `${filter.kind} ${filter.from ?? ""}`;
    if (title) button.setAttribute("aria-label", title);
    return button;
  }
}

function meanBar({ name, mean, count, failed, none }) {
  const bar = element("div", { className: "mean-bar", role: "meter", "aria-label": `mean of ${name}`, "aria-valuemin": 0, "aria-valuemax": 1, "aria-valuenow": (mean ?? 0).toFixed(4) });
  const fill = element("div");
  fill.style.width = `${100 * (mean ?? 0)}%`;
  bar.append(fill);
  if (mean === null || failed || none) bar.setAttribute("aria-valuetext", mean === null ? "no scores" : `${percent(mean)} of ${count} cases`);
  return bar;
}
