// Chooses the cases that the table shows: by what is chosen above it, and by clicks on the summary of a run.

import { byId, element, show } from "./dom.js";
import { choices, nameOf, passes, wordsOf } from "./filter_kinds.js";
import { isFailed } from "./rows.js";
import { differs } from "./run.js";
import { found } from "./search.js";

export class Filters {
  key = ""; // changes when other filters are set
  #changed;
  #set = [];
  #run = null;
  #adder = byId("add-filter");

  // Calls `changed()` when other cases are to be shown.
  constructor(changed) {
    this.#changed = changed;
    byId("filter").addEventListener("change", changed);
    byId("search").addEventListener("input", changed);
    byId("clear-filters").addEventListener("click", () => this.clear());
    // The choices depend on the run, which may have new cases at any time.
    for (const kind of ["focus", "pointerdown"]) this.#adder.addEventListener(kind, () => this.#offer());
    this.#adder.addEventListener("change", () => this.#add());
  }

  // Says which run's cases are chosen from. Other evaluators have other scores and tags.
  of(run) {
    if (this.#run && this.#run.evaluator !== run.evaluator) this.#replace([]);
    this.#run = run;
  }

  has(filter) {
    return this.#set.some((each) => nameOf(each) === nameOf(filter));
  }

  // Sets a filter, or takes it away. A range of a score replaces another one of the same score.
  toggle(filter) {
    const others = this.#set.filter((each) => each.kind !== filter.kind || each.name !== filter.name);
    this.#replace(this.has(filter) ? others : [...others, filter]);
    this.#changed();
  }

  clear() {
    byId("filter").value = "all";
    byId("search").value = "";
    this.#replace([]);
    this.#changed();
  }

  get active() {
    return this.#set.length > 0 || byId("filter").value !== "all" || byId("search").value !== "";
  }

  // Returns whether the table shows the row. `compared` is its entry in the comparison, if there is one.
  pass(row, compared) {
    const filter = byId("filter").value;
    const chosen =
      filter === "all" ||
      (filter === "errors" && isFailed(row)) ||
      (filter === "differs" && differs(row)) ||
      compared?.verdict === filter;
    return chosen && this.#set.every((each) => passes(each, row)) && found(row, byId("search").value);
  }

  // Says how many of the cases are shown.
  count(shown, all) {
    show(byId("cases-shown"), this.active ? `${shown} of ${all} cases` : "");
    byId("clear-filters").hidden = !this.active;
  }

  #offer() {
    const groups = choices(this.#run);
    const options = groups.map(({ title, filters }) =>
      element("optgroup", { label: title }, ...filters.map(({ filter, text }) => element("option", { value: JSON.stringify(filter) }, text))),
    );
    this.#adder.replaceChildren(element("option", { value: "" }, "Add a filter…"), ...options);
  }

  #add() {
    if (this.#adder.value) this.toggle(JSON.parse(this.#adder.value));
    this.#adder.value = "";
  }

  #replace(filters) {
    this.#set = filters;
    this.key = filters.map(nameOf).join("\n");
    byId("filters").replaceChildren(...filters.map((each) => this.#chip(each)));
  }

  #chip(filter) {
    const remove = element("button", { type: "button", "aria-label": `Remove the filter ${nameOf(filter)}`, onclick: () => this.#remove(filter) }, "×");
    return element("li", { className: "chip" }, wordsOf(filter), ...(filter.kind === "score" ? this.#range(filter) : []), remove);
  }

  #remove(filter) {
    this.#replace(this.#set.filter((each) => each !== filter));
    this.#changed();
    (byId("filters").querySelector("button") ?? this.#adder).focus();
  }

  // Returns the fields in which the range of a score is changed.
  #range(filter) {
    const field = (name, words) =>
      element("input", {
        type: "number", min: 0, max: 1, step: 0.05, value: filter[name], "aria-label": `${filter.name} ${words}`,
        onchange: (event) => this.#change(filter, { [name]: Number(event.target.value) }),
      });
    return [" ", field("from", "from"), " to ", field("to", "to")];
  }

  #change(filter, fields) {
    Object.assign(filter, fields);
    this.key = this.#set.map(nameOf).join("\n");
    this.#changed();
  }
}
