// Starts a run on the server, and follows it to its end.

import { Run } from "./run.js";

export class Runner {
  #server;
  #stop = null;

  constructor(server) {
    this.#server = server;
  }

  get active() {
    return this.#stop !== null;
  }

  cancel() {
    this.#stop?.abort();
  }

  // Returns the run when it has ended. Calls `changed(run)` at the start, and after each event.
  async run({ body, total }, changed) {
    const run = new Run(body.name, body.parameters, total);
    this.#stop = new AbortController();
    changed(run);
    try {
      await this.#server.run(body, (event, data) => {
        run.handle(event, data);
        changed(run);
      }, this.#stop.signal);
    } catch (error) {
      const cancelled = error.name === "AbortError";
      run.end(cancelled ? "cancelled" : "failed", cancelled ? "" : error.message);
      run.denied = error.status === 401;
    } finally {
      this.#stop = null;
    }
    return run;
  }
}
