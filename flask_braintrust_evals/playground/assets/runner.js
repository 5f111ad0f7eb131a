// Starts a run on the server, follows it to its end, and lets it be kept.

import { parseExactly } from "./exact_json.js";
import { Recorder } from "./recorder.js";
import { Run } from "./run.js";

const LEAVING = 300; // milliseconds

export class Runner {
  active = null; // the run that goes on
  body; // the body of its request
  #server;
  #stop = null;
  #recorder = null;

  constructor(server) {
    this.#server = server;
    addEventListener("beforeunload", (event) => {
      this.#recorder?.flush();
      if (this.active) event.preventDefault(); // the browser asks whether to leave
    });
    addEventListener("pagehide", () => this.#recorder?.flush());
  }

  cancel() {
    this.#stop?.abort();
  }

  // Returns, when the run has ended, { run, denied, problem }: whether the server wants a token, and why the run is not
  // kept. Calls `changed(run)` at the start, and after each event.
  async run({ body, total, about = "" }, store, changed) {
    const run = new Run(body.name, body.parameters, total);
    run.about = about;
    [this.active, this.body] = [run, body];
    this.#stop = new AbortController();
    const recorder = new Recorder(store, run, body);
    this.#recorder = recorder;
    changed(run);
    let denied = false;
    try {
      await recorder.begin();
      await this.#server.run(body, (event, data) => {
        this.#handle(event, data);
        changed(run);
      }, this.#stop.signal);
    } catch (error) {
      const cancelled = error.name === "AbortError";
      // A page that is left ends its connections first. Then the run is not failed, but interrupted, which is seen when
      // the page is there again.
      if (!cancelled && error.status === undefined) await new Promise((resolve) => setTimeout(resolve, LEAVING));
      run.end(cancelled ? "cancelled" : "failed", cancelled ? "" : error.message);
      denied = error.status === 401;
    }
    [this.active, this.body] = [null, undefined];
    await recorder.end();
    this.#recorder = null;
    return { run, denied, problem: recorder.problem };
  }

  #handle(event, data) {
    if (event === "case_spans") {
      const { id, spans, left_out: leftOut } = parseExactly(data);
      this.#recorder.addSpans(id, spans, leftOut);
      return;
    }
    const done = this.active.handle(event, data);
    if (done) this.#recorder.add(done);
  }
}
