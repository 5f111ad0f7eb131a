// Calls the two endpoints of the server that Braintrust's Playground uses, too.

import { parseExactly } from "./exact_json.js";
import { EventParser } from "./sse.js";

// The page is at .../playground; the endpoints have the same parent path.
const base = new URL("./", location.href);

class ServerError extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

export class Server {
  #headers = {};

  get address() {
    return base.href;
  }

  authenticate(token, organization) {
    this.#headers = {};
    if (token) this.#headers["x-bt-auth-token"] = token;
    if (organization) this.#headers["x-bt-org-name"] = organization;
  }

  // Returns { evaluators, application }: their descriptions by name, and the id of the application that has them.
  async evaluators() {
    const answer = await ask("list?details=true", { headers: this.#headers });
    return { evaluators: parseExactly(await answer.text()), application: answer.headers.get("x-evals-application") ?? "" };
  }

  // Runs an evaluator. Calls `handle(event, data)` for each event when it arrives.
  async run(body, handle, signal) {
    const answer = await ask("eval", {
      method: "POST",
      headers: { ...this.#headers, "Content-Type": "application/json" },
      body: JSON.stringify({ ...body, stream: true, case_results: true, case_spans: true }),
      signal,
    });
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    const parser = new EventParser();
    let ended = false;
    for (;;) {
      const { done, value } = await reader.read().catch(cutOff);
      if (done) break;
      for (const { event, data } of parser.feed(value)) {
        ended ||= event === "done";
        handle(event, data);
      }
    }
    if (!ended) throw new Error("the connection ended before the run did; the server's log may say why");
  }
}

// Browsers say "network error", and not what to do.
function cutOff(error) {
  if (error.name === "AbortError") throw error;
  return { done: true };
}

async function ask(path, options) {
  const answer = await fetch(new URL(path, base), options).catch((error) => {
    if (error.name === "AbortError") throw error;
    throw new Error(`the server does not answer: is it running? (${error.message})`);
  });
  if (answer.ok) return answer;
  const text = await answer.text();
  let message = text;
  try {
    message = JSON.parse(text).error ?? text;
  } catch {
    // The answer is not this server's, but for instance a page of a proxy.
  }
  throw new ServerError(answer.status, `${message || answer.statusText} (status ${answer.status})`);
}
