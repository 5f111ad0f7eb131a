// Parses Server-Sent Events of a fetch: EventSource can neither POST nor send headers.
// https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream

export class EventParser {
  #rest = "";
  #event = "";
  #data = [];

  // Returns the events that this piece of text completes.
  feed(text) {
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop();
    return lines.flatMap((line) => this.#line(line));
  }

  #line(line) {
    if (line === "") {
      const done = this.#data.length ? [{ event: this.#event || "message", data: this.#data.join("\n") }] : [];
      this.#event = "";
      this.#data = [];
      return done;
    }
    const [, name, value] = /^([^:]*)(?:: ?(.*))?$/s.exec(line);
    if (name === "event") this.#event = value ?? "";
    else if (name === "data") this.#data.push(value ?? "");
    return [];
  }
}
