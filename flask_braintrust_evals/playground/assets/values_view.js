// Shows values: as text that can be copied, and folded where it is long.

import { element, written } from "./dom.js";

// Returns a heading and the value below it, or nothing if there is no value. The null of a task is a value.
export function part(title, value, level = "h3") {
  if (value === undefined) return [];
  return [element("section", { className: "part" }, heading(title, value, level), block(value))];
}

function heading(title, value, level) {
  return element("div", { className: "part-head" }, element(level, {}, title), copyButton(title, value));
}

export function block(value) {
  return element("pre", { tabIndex: 0, dir: "auto" }, written(value, 2));
}

// Returns a button that copies a value. Browsers give pages the clipboard on https and localhost alone.
function copyButton(title, value) {
  if (!navigator.clipboard) return null;
  const button = element("button", { type: "button", className: "copy", "aria-label": `Copy ${title}` }, "Copy");
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(written(value, 2)).catch(() => {});
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  });
  return button;
}

// Returns something that is shown when its title is clicked. `fill()` returns its contents, and is called at that time.
export function folded(title, fill, open = false) {
  const made = element("details", { className: "folded" }, element("summary", {}, title));
  let filled = false;
  const show = () => {
    if (!made.open || filled) return;
    filled = true;
    made.append(...[fill()].flat().filter(Boolean));
  };
  made.addEventListener("toggle", show);
  made.open = open;
  show();
  return made;
}

// Returns rows of a name and a value each.
export function facts(entries) {
  const list = element("dl", { className: "facts" });
  for (const [name, value] of entries) list.append(element("div", {}, element("dt", {}, name), element("dd", { dir: "auto" }, value)));
  return list;
}
