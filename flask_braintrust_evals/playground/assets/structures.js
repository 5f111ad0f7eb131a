// Makes the controls for lists and objects: rows that can be added and removed, and fields.

import { FieldError, json, rangeOf, simpleControl } from "./controls.js";
import { element } from "./dom.js";
import { exactly, fieldsOrText, textOf } from "./exact_control.js";
import { own } from "./records.js";
import { fits } from "./schemas.js";

const DEPTH = 2; // levels of lists and objects that have rows and fields; what is below is JSON
const HAS_PARTS = ["list", "object", "map"];

// Returns the control for a schema. `name` is what screen readers call it where no label is around it.
export function controlFor(schema, name, depth = 0) {
  const label = { "aria-label": name };
  if (!HAS_PARTS.includes(schema.kind) || schema.choices) return exactly(simpleControl(schema, label), schema);
  return depth < DEPTH ? structured(schema, name, depth) : exactly(json(schema, label), schema);
}

// A list or an object, which can also be edited as JSON, and is if it does not have the form of its schema.
function structured(schema, name, depth) {
  const make = { list: listControl, object: objectControl, map: mapControl }[schema.kind];
  const fields = exactly(make(schema, name, depth), schema);
  const text = exactly(json(schema, { "aria-label": `${name} as JSON` }), schema);
  const button = element("button", { type: "button", className: "link", onclick: () => turn() });
  const problem = element("span", { className: "quiet", role: "status" });
  const place = element("div");
  const node = element("div", { className: "structure", role: "group", "aria-label": name }, place);
  // In a part of another structure, a second way to edit it would only be in the way.
  if (depth === 0) node.append(element("div", { className: "structure-foot" }, button, problem));
  const show = (control) => {
    place.replaceChildren(control.node);
    button.textContent = control === fields ? "Edit as JSON" : "Edit in fields";
    problem.textContent = "";
  };
  const suits = (value) => fits(schema, value);
  const both = fieldsOrText(fields, text, { suits, show });
  const turn = () => {
    const target = both.current === fields ? text : fields;
    try {
      const value = both.read();
      if (target === fields && !suits(value)) throw new Error("This JSON does not have the form of the fields.");
      target.write(value);
      both.use(target);
    } catch (error) {
      problem.textContent = error instanceof FieldError ? "Mend what is not valid first." : error.message;
    }
    button.focus();
  };
  both.write(undefined);
  return { node, read: both.read, write: both.write, kept: both.kept, restore: both.restore };
}

function listControl(schema, name, depth) {
  const rows = [];
  const list = element("div", { className: "rows-of-form" });
  const add = (fill) => {
    const control = controlFor(schema.items, `${name}, item`, depth + 1);
    fill(control);
    addRow(list, rows, { control }, [control.node]);
    return control;
  };
  const addDefault = () => {
    focus(add((control) => control.write(schema.items.default)).node);
    changed(list);
  };
  const more = element("button", { type: "button", onclick: addDefault }, "Add an item");
  return {
    node: element("div", {}, list, more),
    write: (value) => {
      clear(rows);
      for (const each of value ?? []) add((control) => control.write(each));
    },
    draft: () => rows.map(({ control }) => control.kept()),
    restore: (draft) => {
      clear(rows);
      for (const each of draft) add((control) => control.restore(each));
    },
    read: () => {
      const values = rows.map(({ control }) => given(control, "item"));
      return values.length || schema.default !== undefined || schema.required ? values : undefined;
    },
  };
}

// An object whose names its user chooses.
function mapControl(schema, name, depth) {
  const rows = [];
  const list = element("div", { className: "rows-of-form" });
  const add = (key, fill) => {
    const control = controlFor(schema.items, `${name}, value`, depth + 1);
    const label = exactly(keyControl(name), { required: true });
    label.restore(key);
    fill(control);
    addRow(list, rows, { control, key: label }, [label.node, control.node]);
    return label;
  };
  const addDefault = () => {
    add({ value: "" }, (control) => control.write(schema.items.default)).node.focus();
    changed(list);
  };
  const more = element("button", { type: "button", onclick: addDefault }, "Add an entry");
  return {
    node: element("div", {}, list, more),
    write: (value) => {
      clear(rows);
      for (const [key, each] of Object.entries(value ?? {})) add({ value: key }, (control) => control.write(each));
    },
    draft: () => rows.map(({ key, control }) => [key.kept(), control.kept()]),
    restore: (draft) => {
      clear(rows);
      for (const [key, each] of draft) add(key, (control) => control.restore(each));
    },
    read: () => {
      const names = rows.map(({ key }) => key.read());
      rows.forEach(({ key }, at) => {
        if (names.indexOf(names[at]) < at) throw new FieldError(key.node, "two entries have this name");
      });
      const entries = rows.map(({ control }, at) => [names[at], given(control, "value")]);
      return entries.length || schema.default !== undefined || schema.required ? Object.fromEntries(entries) : undefined;
    },
  };
}

// The name of an entry, which may be an empty text.
function keyControl(name) {
  const node = element("input", { type: "text", placeholder: "name", "aria-label": `${name}, name`, spellcheck: false });
  return { node, read: () => node.value, write: (value) => (node.value = value), ...textOf(node) };
}

function objectControl(schema, name, depth) {
  const fields = schema.properties.map(([key, each]) => ({ key, schema: each, control: controlFor(each, `${name}, ${key}`, depth + 1) }));
  const node = element("div", { className: "fields-of-object" }, ...fields.map(property));
  return {
    node,
    write: (value) => {
      for (const { key, schema: each, control } of fields) control.write(value && Object.hasOwn(value, key) ? value[key] : each.default);
    },
    draft: () => Object.fromEntries(fields.map(({ key, control }) => [key, control.kept()])),
    restore: (draft) => {
      for (const { key, schema: each, control } of fields) control.restore(own(draft, key) ?? { value: each.default });
    },
    read: () => {
      const values = fields.map(({ key, control }) => [key, control.read()]).filter(([, value]) => value !== undefined);
      for (const { key, schema: each, control } of fields)
        if (each.required && each.default === undefined && !values.some(([other]) => other === key))
          throw new FieldError(focusable(control.node), `'${key}' is required`);
      return Object.fromEntries(values);
    },
  };
}

function property({ key, schema, control }) {
  return element("div", { className: "field" }, heading(key, schema, control, hint(schema)));
}

// Returns the name of a field with its control: as its label or, above several controls, as a heading.
export function heading(name, schema, control, help) {
  const isRequired = schema.required && schema.default === undefined;
  const title = [element("span", { className: "field-name" }, name), isRequired ? element("span", { className: "required" }, " required") : null];
  const about = help ? element("p", { className: "quiet" }, help) : null;
  if (!control.node.matches("input, select, textarea")) return element("div", {}, ...title, about, control.node);
  if (isRequired) control.node.setAttribute("aria-required", "true");
  // The label is the name: a second one would hide it from screen readers.
  control.node.removeAttribute("aria-label");
  return element("div", {}, element("label", {}, ...title, control.node), about);
}

// Returns what there is to know of a field: its description, and the limits of a number.
export function hint(schema) {
  const range = schema.kind === "number" ? rangeOf(schema) : "";
  return [schema.description, range && `${range[0].toUpperCase()}${range.slice(1)}.`].filter(Boolean).join(" ");
}

function addRow(list, rows, entry, nodes) {
  const remove = element("button", { type: "button", className: "remove", title: "Remove", "aria-label": "Remove this row" }, "✕");
  const row = element("div", { className: "form-row" }, ...nodes, remove);
  const made = { ...entry, row };
  remove.addEventListener("click", () => {
    rows.splice(rows.indexOf(made), 1);
    const next = row.nextElementSibling ?? row.previousElementSibling;
    row.remove();
    focus(next ?? list.parentElement.querySelector(":scope > button"));
    changed(list);
  });
  rows.push(made);
  list.append(row);
}

// Lets the form be kept: rows come and go without an event of the browser.
export function changed(node) {
  node.dispatchEvent(new Event("input", { bubbles: true }));
}

function clear(rows) {
  for (const { row } of rows.splice(0)) row.remove();
}

function given(control, what) {
  const value = control.read();
  if (value === undefined) throw new FieldError(focusable(control.node), `this ${what} is empty: fill it in, or remove it`);
  return value;
}

export function focusable(node) {
  return node.matches("input, select, textarea, button") ? node : (node.querySelector("input, select, textarea") ?? node.querySelector("button") ?? node);
}

const focus = (node) => focusable(node).focus();
