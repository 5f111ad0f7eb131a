// The list from which the run is chosen that the shown one is compared with.

import { byId, element } from "./dom.js";
import { differingParameters, meanOf, shortValue } from "./runs_list.js";
import { own } from "./records.js";
import { nameOf, timeOf } from "./run.js";

const FILE = "\u0000file"; // no id of a run

export class CompareChoice {
  #chosen = "";

  // Calls `choose(id)`, with "" for none, and `open()` for a run in a file.
  constructor(choose, open) {
    byId("compare").addEventListener("change", ({ target }) => {
      if (target.value !== FILE) return choose(target.value);
      target.value = this.#chosen; // until a file has been chosen
      return open();
    });
  }

  // Offers the records of runs, apart from the one that is shown.
  offer(records, shown, chosen) {
    const others = records.filter(({ id }) => id !== shown);
    const differing = differingParameters(records);
    const none = others.length ? "nothing" : "no earlier run";
    byId("compare").replaceChildren(
      element("option", { value: "" }, none),
      ...others.map((each) => element("option", { value: each.id }, wordsOf(each, differing))),
      element("option", { value: FILE }, "a file of results…"),
    );
    this.#chosen = chosen ?? "";
    byId("compare").value = this.#chosen;
  }
}

function wordsOf(record, differing) {
  const scores = record.scoreNames.map((name) => `${name} ${meanOf(record, name)}`);
  const parameters = differing.map((name) => `${name}: ${shortValue(own(record.parameters, name))}`);
  const cases = `${record.done} cases${record.failed ? `, ${record.failed} failed` : ""}`;
  const name = record.label ? `${nameOf(record)} (${timeOf(record)})` : nameOf(record);
  const ended = record.state === "finished" ? [] : [record.state];
  return [name, cases, ...ended, ...scores, ...parameters].join(" · ");
}
