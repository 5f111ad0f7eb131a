// The earlier runs of the chosen evaluator: which of them is compared with the shown one, and which are forgotten.

import { byId, element } from "./dom.js";
import { earlierRun, earlierRuns, forget } from "./history.js";

export class RunsList {
  #shown;
  #evaluator = "";

  constructor(shown) {
    this.#shown = shown;
    byId("compare").addEventListener("change", (event) => this.#compareWith(event.target.value));
    byId("forget").addEventListener("click", () => this.#forgetAll());
  }

  async list(evaluator) {
    this.#evaluator = evaluator;
    const { run } = this.#shown;
    const chosen = byId("compare").value;
    const runs = await earlierRuns(evaluator).catch(() => []);
    const others = runs.filter((each) => each.id !== run?.id);
    byId("compare").replaceChildren(element("option", { value: "" }, others.length ? "nothing" : "no earlier run"), ...others.map(option));
    byId("forget").disabled = !runs.length;
    if (others.some((each) => each.id === chosen)) byId("compare").value = chosen;
    else await this.#compareWith("");
  }

  async #compareWith(id) {
    this.#shown.compareWith(id ? await earlierRun(id) : null);
  }

  async #forgetAll() {
    await forget(this.#evaluator);
    await this.list(this.#evaluator);
  }
}

function option({ id, started, done, failed, state }) {
  const when = new Date(started).toLocaleString();
  const bad = failed ? `, ${failed} failed` : "";
  const ended = state === "finished" ? "" : `, ${state}`;
  return element("option", { value: id }, `${when}: ${done} cases${bad}${ended}`);
}
