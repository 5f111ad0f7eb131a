// Makes the control for a prompt: its model, the parameters of the model's call, and its messages.
// Braintrust saves prompts as { prompt: { type: "chat", messages }, options: { model, params } }.

import { FieldError, json, simpleControl } from "./controls.js";
import { element } from "./dom.js";
import { exactly, fieldsOrText, textOf } from "./exact_control.js";
import { own } from "./records.js";
import { changed } from "./structures.js";

const ROLES = ["system", "user", "assistant"];

// The parameters that have fields of their own. The others are kept, and can be edited as JSON.
const PARAMS = [
  ["temperature", { kind: "number", minimum: 0 }],
  ["max_tokens", { kind: "number", whole: true, minimum: 1 }],
  ["top_p", { kind: "number", minimum: 0, maximum: 1 }],
];

export function promptControl(schema, name) {
  const node = element("div", { className: "prompt-form", role: "group", "aria-label": name });
  const fields = exactly(fieldsControl(name), schema);
  const text = exactly(json({ kind: "object" }, { "aria-label": `${name} as JSON` }), schema);
  return { node, ...fieldsOrText(fields, text, { suits: isPlain, show: (control) => node.replaceChildren(control.node) }) };
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
  const params = PARAMS.map(([key, schema]) => ({ key, control: exactly(simpleControl({ ...schema, required: false }, {}), {}) }));
  for (const { control } of params) control.node.placeholder = "default";
  const others = exactly(json({ kind: "object" }, { rows: 2 }), {});
  const more = element("details", {}, element("summary", {}, "Other parameters of the call"), element("label", {}, "JSON", others.node));
  const list = element("ol", { className: "prompt-messages" });
  const rows = new Map(); // from the elements of messages to their controls
  const append = (fill) => {
    const message = messageControl(name);
    fill(message);
    rows.set(message.node, message);
    list.append(message.node);
    return message.node;
  };
  const messages = () => [...list.children].map((row) => rows.get(row));
  const addMessage = () => {
    append((message) => message.write({ role: "user", content: "" })).querySelector("textarea").focus();
    changed(list);
  };
  const add = element("button", { type: "button", onclick: addMessage }, "Add a message");
  const clear = () => {
    list.replaceChildren();
    rows.clear();
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
    clear();
    for (const each of value?.prompt?.messages ?? [{ role: "user", content: "" }]) append((message) => message.write(each));
  }

  function draft() {
    return { given, model: model.value, params: params.map(({ control }) => control.kept()), others: others.kept(), messages: messages().map((each) => each.draft()) };
  }

  function restore(kept) {
    write(kept.given);
    model.value = kept.model;
    params.forEach(({ control }, at) => control.restore(kept.params[at]));
    others.restore(kept.others);
    clear();
    for (const each of kept.messages) append((message) => message.restore(each));
  }

  function read() {
    const written = messages().map((each) => each.read());
    const values = paramsOf();
    const untouched = !model.value.trim() && !Object.keys(values).length && written.every((each) => !each.content);
    if (given === undefined && untouched) return undefined;
    const options = { ...given?.options };
    setOrDelete(options, "model", model.value.trim() || undefined);
    setOrDelete(options, "params", Object.keys(values).length || given?.options?.params ? values : undefined);
    return { ...given, prompt: { ...given?.prompt, type: "chat", messages: written }, options };
  }

  function paramsOf() {
    const rest = others.read() ?? {};
    if (typeof rest !== "object" || rest === null || Array.isArray(rest)) throw new FieldError(others.node, "must be a JSON object");
    const named = params.map(({ key, control }) => [key, control.read()]).filter(([, value]) => value !== undefined);
    return { ...rest, ...Object.fromEntries(named) };
  }

  return { node, read, write, draft, restore };
}

const hasField = (name) => PARAMS.some(([key]) => key === name);
const titleOf = (key) => ({ temperature: "Temperature", max_tokens: "Max. tokens", top_p: "Top p" })[key];

function setOrDelete(record, name, value) {
  if (value === undefined) delete record[name];
  else record[name] = value;
}

// Returns the control for one message, { role, content }.
function messageControl(name) {
  const role = element("select", { "aria-label": `${name}: role` }, ...ROLES.map((each) => element("option", {}, each)));
  const box = element("textarea", { rows: 2, className: "text", "aria-label": `${name}: content` });
  const content = exactly({ node: box, read: () => box.value, write: (text) => (box.value = text), ...textOf(box) }, { required: true });
  const remove = element("button", { type: "button", className: "remove", title: "Remove", "aria-label": "Remove this message" }, "✕");
  const node = element("li", { className: "prompt-message" }, element("div", { className: "prompt-message-head" }, role, remove), box);
  remove.addEventListener("click", () => {
    const list = node.parentElement;
    if (list.children.length === 1) box.value = "";
    else node.remove();
    changed(list);
  });
  return {
    node,
    read: () => ({ role: role.value, content: content.read() }),
    write: (message) => {
      role.value = message.role;
      content.write(message.content);
    },
    draft: () => ({ role: role.value, content: content.kept() }),
    restore: (draft) => {
      role.value = draft.role;
      content.restore(draft.content);
    },
  };
}
