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

export const percent = (value) => `${(100 * value).toFixed(1)} %`;
export function seconds(value) {
  if (value === undefined) return "";
  if (value < 0.001) return "< 1 ms";
  return value < 1 ? `${Math.round(value * 1000)} ms` : `${value.toFixed(1)} s`;
}

// Returns the children for a name that may be broken into lines behind "_" and the like.
export const breakable = (name) => name.split(/(?<=[_.-])/).flatMap((part) => [part, element("wbr")]);
