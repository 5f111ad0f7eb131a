// Makes elements. Outputs of tasks are set as text, never as markup.

export const byId = (id) => document.getElementById(id);

export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name in made && !name.includes("-")) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export function show(node, text) {
  node.textContent = text ?? "";
  node.hidden = !text;
}

// Returns a value for people to read: a text unchanged, other values as JSON.
export function asText(value, indent = 0) {
  if (value === undefined || value === null) return "";
  return typeof value === "string" ? value : JSON.stringify(value, null, indent);
}

// Returns it where null is a value, as what a task returns.
export const written = (value, indent = 0) => (value === null ? "null" : asText(value, indent));

// Returns a share for people to read. Only all is 100 %, and only nothing is 0 %.
export function percent(value) {
  const text = (100 * value).toFixed(1);
  if (value < 1 && text === "100.0") return "> 99.9 %";
  if (value > 0 && text === "0.0") return "< 0.1 %";
  return `${text} %`;
}

export function seconds(value) {
  if (value === undefined) return "";
  if (value < 0.001) return "< 1 ms";
  return value < 1 ? `${Math.round(value * 1000)} ms` : `${value.toFixed(1)} s`;
}

// Returns the children for a name that may be broken into lines behind "_" and the like.
export const breakable = (name) => name.split(/(?<=[_.-])/).flatMap((part) => [part, element("wbr")]);
