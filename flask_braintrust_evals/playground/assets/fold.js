// Folds the form away, so that the results have all of the page.

import { byId } from "./dom.js";
import { remember } from "./remembered.js";

// `away`: whether the form is to be away; without it, the other of what it is.
export function fold(away = !document.body.classList.contains("folded")) {
  document.body.classList.toggle("folded", away);
  byId("fold").setAttribute("aria-expanded", !away);
  byId("fold").textContent = away ? "Show the form" : "Hide the form";
  remember("folded", away ? "yes" : "");
}
