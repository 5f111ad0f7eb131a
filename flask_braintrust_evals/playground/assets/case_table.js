// Shows the first of some cases.

import { asText, element } from "./dom.js";

const SHOWN = 200; // characters of a value

export const countOf = (cases) => `${cases.toLocaleString()} case${cases === 1 ? "" : "s"}`;

export function caseTable(cases, caption) {
  const names = ["input", "expected"].filter((name) => cases.some((each) => Object.hasOwn(each, name)));
  const rows = cases.map((each) => element("tr", {}, ...names.map((name) => element("td", { dir: "auto" }, short(each[name])))));
  return element(
    "table",
    { className: "examples" },
    element("caption", { className: "quiet" }, caption),
    element("thead", {}, element("tr", {}, ...names.map((name) => element("th", { scope: "col" }, name)))),
    element("tbody", {}, ...rows),
  );
}

function short(value) {
  const text = asText(value);
  return text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text;
}
