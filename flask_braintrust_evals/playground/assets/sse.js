// Parses Server-Sent Events of a fetch: EventSource can neither POST nor send headers.
// https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream

export class EventParser {
  #rest = []; // pieces of a line that has not ended; joined once, since a line may come in thousands of them
  #event = "";
  #data = [];

  // Returns the events that this piece of text completes.
  feed(text) {
    const isHeld = this.#rest.at(-1)?.endsWith("\r"); // a line end, which "\n" may belong to
    this.#rest.push(text);
    if (!isHeld && !/[\r\n]/.test(text)) return [];
    const lines = this.#rest.join("").split(/\r\n|\n|\r(?!$)/);
    this.#rest = [lines.pop()];
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
