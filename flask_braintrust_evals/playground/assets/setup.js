// The panel in which an evaluator, its parameters and cases are chosen. What is entered for each evaluator is kept.

import { byId, element, show } from "./dom.js";
import { fold } from "./fold.js";
import { parameterForm } from "./form.js";
import { own } from "./records.js";
import { Source } from "./source.js";

const PAUSE = 300; // milliseconds without a change until the form is kept

export class Setup {
  store = null;
  evaluator = "";
  #server;
  #manifest = {};
  #form = parameterForm(null);
  #shown = ""; // the evaluator that the form is of: that of another one is read from the database first
  #reading; // that
  #source = new Source();
  #keeping = null;

  // Calls `chosen(name)` when its user chooses another evaluator, and `start()` when a run is asked for.
  constructor(server, { chosen, start }) {
    this.#server = server;
    byId("server").textContent = server.address;
    byId("setup").addEventListener("submit", (event) => {
      event.preventDefault();
      start();
    });
    byId("setup").addEventListener("input", () => this.problem("")); // it may be mended
    // The browser shows what is invalid at its field, which it cannot where the form is away.
    byId("setup").addEventListener("invalid", () => fold(false), { capture: true });
    byId("defaults").addEventListener("click", () => {
      this.#form.reset();
      this.#keepNow();
    });
    byId("setup").addEventListener("input", () => this.#keepSoon());
    // At once: browsers need not finish a write that begins when the page is left.
    byId("setup").addEventListener("change", () => this.#keepNow());
    addEventListener("pagehide", () => this.#keep());
    byId("evaluator").addEventListener("change", () => {
      byId("setup").ariaBusy = true; // until its form is there
      chosen(byId("evaluator").value);
    });
  }

  get names() {
    return Object.keys(this.#manifest);
  }

  // What the server says of the chosen evaluator, or undefined if there is none.
  get described() {
    return this.describedOf(this.evaluator);
  }

  describedOf(name) {
    return own(this.#manifest, name);
  }

  // Asks the server for its evaluators. Returns the application's id, or null if it did not answer.
  async connect() {
    this.problem("");
    try {
      const { evaluators, application } = await this.#server.evaluators();
      this.#offer(evaluators);
      byId("run").disabled = !this.names.length;
      if (!this.names.length) show(byId("about"), "This server has no evaluators.");
      return application;
    } catch (error) {
      const denied = error.status === 401 || error.status === 403 || (error.status === 400 && byId("token").value);
      if (denied) this.askForToken();
      if (error.status !== 401 || byId("token").value) this.problem(error.message);
      return null;
    }
  }

  // Offers the evaluators. Another key may have others: if the chosen one is not the same any more, none is chosen.
  #offer(evaluators) {
    this.#keep();
    const before = JSON.stringify(this.described);
    this.#manifest = evaluators;
    byId("evaluator").replaceChildren(...this.names.map((name) => element("option", { value: name }, name)));
    if (JSON.stringify(this.described) !== before || !this.described) this.evaluator = "";
    byId("evaluator").value = this.evaluator || this.names[0];
    byId("setup").ariaBusy = !this.evaluator && this.names.length > 0; // until its form is there
  }

  // Shows the form of an evaluator, with what was last entered there.
  choose(name) {
    this.#keep();
    this.evaluator = name;
    byId("evaluator").value = name;
    this.#reading = this.#read(name);
    return this.#reading;
  }

  async #read(name) {
    const kept = (await this.store.form(name).catch(() => undefined)) ?? {};
    if (this.evaluator !== name) return; // another one has been chosen meanwhile
    this.#fill(kept);
    byId("setup").ariaBusy = false;
  }

  // Puts what a run was started with into the form: its parameters, its request, and the cases if they were given. What is
  // entered in other places stays, such as a dataset's id.
  enter(parameters, { data = {}, trial_count: trials, max_concurrency: concurrency }) {
    const values = Object.entries(parameters ?? {}).map(([name, value]) => [name, { value }]);
    const entered = { ...this.#source.entered(), ...enteredOf(data) };
    this.#fill({ parameters: Object.fromEntries(values), trials, concurrency, ...entered });
    this.#keepNow();
  }

  // Returns the body of the request, or throws an Error that says what is wrong in the form.
  async request() {
    while (this.evaluator && this.#shown !== this.evaluator) await this.#reading;
    if (!this.evaluator) throw new Error("There is no evaluator to run.");
    this.#keepNow();
    const { trials, concurrency } = this.#numbers();
    const asked = { name: this.evaluator, parameters: this.#form.values(), trial_count: trials, max_concurrency: concurrency };
    return { ...asked, data: await this.#source.chosen() }; // meanwhile, another evaluator may be chosen
  }

  // Shows what the server said of a parameter at its field.
  refused(message) {
    this.#form.refused(message);
  }

  problem(text) {
    if (text) fold(false);
    show(byId("problem"), text);
  }

  askForToken() {
    byId("access").hidden = false;
  }

  preparing(on) {
    byId("run").disabled = Boolean(on);
  }

  running(on) {
    byId("run").disabled = on;
    byId("cancel").disabled = !on;
  }

  #numbers() {
    const [trials, concurrency] = ["trials", "concurrency"].map((id) => Number(byId(id).value) || undefined);
    return { trials, concurrency };
  }

  #fill({ parameters = {}, trials, concurrency, ...cases }) {
    const { parameters: declared, scores, classifiers, description } = this.described;
    this.#form = parameterForm(declared, parameters);
    this.#shown = this.evaluator;
    byId("parameter-fields").replaceChildren(...this.#form.fields);
    byId("parameters").hidden = !this.#form.fields.length;
    const made = [...scores, ...classifiers].map((each) => each.name).join(", ");
    show(byId("about"), [description, made ? `Scores: ${made}` : "No scorers."].filter(Boolean).join(" — "));
    byId("trials").value = trials ?? "";
    byId("concurrency").value = concurrency ?? "";
    this.#source.show(this.described, cases);
  }

  #keepSoon() {
    clearTimeout(this.#keeping);
    this.#keeping = setTimeout(() => this.#keep(), PAUSE);
  }

  #keepNow() {
    this.#keepSoon();
    this.#keep();
  }

  // Keeps what is entered, if it has changed since.
  #keep() {
    if (this.#keeping === null || !this.store || !this.evaluator || this.#shown !== this.evaluator) return;
    clearTimeout(this.#keeping);
    this.#keeping = null;
    const entered = { parameters: this.#form.entered(), ...this.#numbers(), ...this.#source.entered() };
    this.store.keepForm(this.evaluator, entered).catch(() => {}); // private windows may have no database
  }
}

// Returns how the form has the data of a request.
function enteredOf(data) {
  if (data.own) return { source: "own" };
  if (data.dataset_id) return { source: "dataset", dataset: data.dataset_id };
  return { source: "text", text: JSON.stringify(data.data, null, 2) };
}
