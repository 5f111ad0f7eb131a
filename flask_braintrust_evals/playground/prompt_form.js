// Makes the control for a prompt: its model, the parameters of the model's call, and its messages.
// Braintrust saves prompts as { prompt: { type: "chat", messages }, options: { model, params } }.

import { FieldError, json, simpleControl } from "./controls.js";
import { element } from "./dom.js";
import { own } from "./records.js";

const ROLES = ["system", "user", "assistant"];

// The parameters that have fields of their own. The others are kept, and can be edited as JSON.
const PARAMS = [
  ["temperature", { kind: "number", minimum: 0 }],
  ["max_tokens", { kind: "number", whole: true, minimum: 1 }],
  ["top_p", { kind: "number", minimum: 0, maximum: 1 }],
];

export function promptControl(schema, name) {
  const node = element("div", { className: "prompt-form", role: "group", "aria-label": name });
  const forms = { fields: fieldsControl(name), text: json({ kind: "object" }, { "aria-label": `${name} as JSON` }) };
  let current = forms.fields;
  const show = (control) => {
    current = control;
    node.replaceChildren(control.node);
  };
  show(forms.fields);
  return {
    node,
    read: () => current.read(),
    write: (value) => {
      show(isPlain(value) ? forms.fields : forms.text);
      current.write(value);
    },
  };
}

// Whether the fields can show a prompt: a chat whose messages are texts, without anything like calls of tools.
function isPlain(value) {
  const messages = value?.prompt?.messages;
  const isText = (each) => typeof each.content === "string" && ROLES.includes(each.role) && Object.keys(each).length === 2;
  return value === undefined || (value.prompt?.type === "chat" && Array.isArray(messages) && messages.every(isText));
}

function fieldsControl(name) {
  let given;
  const model = element("input", { type: "text", placeholder: "such as gpt-6.1-terra", spellcheck: false });
  const params = PARAMS.map(([key, schema]) => ({ key, control: simpleControl({ ...schema, required: false }, {}) }));
  for (const { control } of params) control.node.placeholder = "default";
  const others = json({ kind: "object" }, { rows: 2 });
  const more = element("details", {}, element("summary", {}, "Other parameters of the call"), element("label", {}, "JSON", others.node));
  const list = element("ol", { className: "prompt-messages" });
  const add = element("button", { type: "button", onclick: () => append({ role: "user", content: "" }).focus() }, "Add a message");
  const append = (message) => {
    const { row, content } = messageRow(name, message);
    list.append(row);
    return content;
  };
  const node = element(
    "div",
    {},
    element("label", {}, "Model", model),
    element("div", { className: "params" }, ...params.map(({ key, control }) => element("label", {}, titleOf(key), control.node))),
    more,
    element("div", { className: "field-name" }, "Messages"),
    list,
    add,
  );

  function write(value) {
    given = value;
    model.value = value?.options?.model ?? "";
    const saved = value?.options?.params ?? {};
    for (const { key, control } of params) control.write(typeof own(saved, key) === "number" ? saved[key] : undefined);
    const rest = Object.entries(saved).filter(([key, each]) => !(hasField(key) && typeof each === "number"));
    others.write(rest.length ? Object.fromEntries(rest) : undefined);
    more.open = rest.length > 0;
    list.replaceChildren();
    (value?.prompt?.messages ?? [{ role: "user", content: "" }]).forEach(append);
  }

  function read() {
    const messages = [...list.children].map((row) => ({ role: row.querySelector("select").value, content: row.querySelector("textarea").value }));
    const values = paramsOf();
    const untouched = !model.value.trim() && !Object.keys(values).length && messages.every((each) => !each.content);
    if (given === undefined && untouched) return undefined;
    const options = { ...given?.options };
    setOrDelete(options, "model", model.value.trim() || undefined);
    setOrDelete(options, "params", Object.keys(values).length || given?.options?.params ? values : undefined);
    return { ...given, prompt: { ...given?.prompt, type: "chat", messages }, options };
  }

  function paramsOf() {
    const rest = others.read() ?? {};
    if (typeof rest !== "object" || rest === null || Array.isArray(rest)) throw new FieldError(others.node, "must be a JSON object");
    const named = params.map(({ key, control }) => [key, control.read()]).filter(([, value]) => value !== undefined);
    return { ...rest, ...Object.fromEntries(named) };
  }

  return { node, read, write };
}

const hasField = (name) => PARAMS.some(([key]) => key === name);
const titleOf = (key) => ({ temperature: "Temperature", max_tokens: "Max. tokens", top_p: "Top p" })[key];

function setOrDelete(record, name, value) {
  if (value === undefined) delete record[name];
  else record[name] = value;
}

function messageRow(name, message) {
  const role = element("select", { "aria-label": `${name}: role` }, ...ROLES.map((each) => element("option", {}, each)));
  role.value = message.role;
  const content = element("textarea", { rows: 2, className: "text", value: message.content, "aria-label": `${name}: content` });
  const remove = element("button", { type: "button", className: "remove", title: "Remove", "aria-label": "Remove this message" }, "✕");
  const row = element("li", { className: "prompt-message" }, element("div", { className: "prompt-message-head" }, role, remove), content);
  remove.addEventListener("click", () => {
    if (row.parentElement.children.length === 1) content.value = "";
    else row.remove();
  });
  return { row, content };
}
