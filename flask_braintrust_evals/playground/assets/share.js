// The buttons that write the shown run to files.

import { withSpans } from "./all_spans.js";
import { byId } from "./dom.js";
import { asCsv, asJson, download, fileName } from "./export.js";

export class Share {
  #shown;

  constructor(shown) {
    this.#shown = shown;
    shown.onChange(() => this.#enable());
    byId("export-json").addEventListener("click", () => this.#export("application/json", "json", asJson));
    byId("export-csv").addEventListener("click", () => this.#export("text/csv", "csv", asCsv));
  }

  #enable() {
    const { run } = this.#shown;
    for (const id of ["export-json", "export-csv"]) byId(id).disabled = !run || run.state === "running" || !run.rows.length;
  }

  async #export(type, kind, make) {
    const { run, store } = this.#shown;
    download(fileName(run, kind), type, make(await withSpans(run, store)));
  }
}
