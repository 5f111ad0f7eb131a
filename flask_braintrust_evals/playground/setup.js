// The panel in which an evaluator, its parameters and cases are chosen.

import { byId, element, show } from "./dom.js";
import { parameterForm } from "./form.js";
import { Source } from "./source.js";

export class Setup {
  #server;
  #manifest = {};
  #form = parameterForm(null);
  #source = new Source();

  // Calls `chosen(name)` when another evaluator is chosen, and `start()` when a run is asked for.
  constructor(server, { chosen, start }) {
    this.#server = server;
    this.chosen = chosen;
    byId("server").textContent = server.address;
    byId("setup").addEventListener("submit", (event) => {
      event.preventDefault();
      start();
    });
    byId("evaluator").addEventListener("change", () => this.#choose());
    byId("defaults").addEventListener("click", () => this.#form.reset());
    byId("connect").addEventListener("click", () => {
      server.authenticate(byId("token").value.trim(), byId("org").value.trim());
      this.connect();
    });
  }

  get evaluator() {
    return byId("evaluator").value;
  }

  async connect() {
    this.problem("");
    try {
      this.#manifest = (await this.#server.evaluators()).evaluators;
    } catch (error) {
      const denied = error.status === 401 || error.status === 403 || (error.status === 400 && byId("token").value);
      if (denied) this.askForToken();
      if (error.status !== 401 || byId("token").value) this.problem(error.message);
      return;
    }
    const names = Object.keys(this.#manifest);
    byId("evaluator").replaceChildren(...names.map((name) => element("option", {}, name)));
    show(byId("about"), names.length ? "" : "This server has no evaluators.");
    byId("run").disabled = !names.length;
    if (names.length) await this.#choose();
  }

  // Returns { body, total }: what is sent to the server, and the number of cases and trials, or null.
  // Throws an Error that says what is wrong in the form.
  async request() {
    const { data, cases } = await this.#source.chosen();
    const trials = Number(byId("trials").value) || undefined;
    const body = { name: this.evaluator, data, parameters: this.#form.values(), trial_count: trials };
    body.max_concurrency = Number(byId("concurrency").value) || undefined;
    return { body, total: cases === null ? null : cases * (trials ?? 1) };
  }

  // Shows what the server said of a parameter at its field.
  refused(message) {
    this.#form.refused(message);
  }

  problem(text) {
    show(byId("problem"), text);
  }

  askForToken() {
    byId("access").hidden = false;
  }

  running(on) {
    byId("run").disabled = on;
    byId("cancel").disabled = !on;
    byId("evaluator").disabled = on;
  }

  async #choose() {
    const name = this.evaluator;
    const { parameters, scores, classifiers, description, has_data: hasData } = this.#manifest[name];
    this.#form = parameterForm(parameters);
    byId("parameter-fields").replaceChildren(...this.#form.fields);
    byId("parameters").hidden = !this.#form.fields.length;
    const made = [...scores, ...classifiers].map((each) => each.name).join(", ");
    show(byId("about"), [description, made ? `Scores: ${made}` : "No scorers."].filter(Boolean).join(" — "));
    this.#source.offerOwn(hasData);
    await this.chosen(name);
  }
}
