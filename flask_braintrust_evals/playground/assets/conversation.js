// Reads the messages of a call of a language model, whatever library recorded it.

import { asText, element } from "./dom.js";

// Returns a list of { role, parts }, or null if a value is no conversation. A part is { kind, text }.
export function messagesOf(value, role = "user") {
  const found = listIn(value);
  if (!found) return typeof value === "string" ? [{ role, parts: [{ kind: "text", text: value }] }] : null;
  const messages = found.map((each) => messageOf(each, role));
  return messages.length && messages.every(Boolean) ? messages : null;
}

function listIn(value) {
  if (Array.isArray(value)) return value;
  if (typeof value !== "object" || value === null) return null;
  for (const name of ["messages", "choices", "contents", "output"]) if (Array.isArray(value[name])) return value[name];
  return isMessage(value) ? [value] : null;
}

const isMessage = (value) =>
  typeof value === "object" && value !== null && ("role" in value || "content" in value || "parts" in value || "tool_calls" in value);

function messageOf(value, role) {
  if (typeof value === "string") return { role: "…", parts: [{ kind: "text", text: value }] }; // a mark where others are cut
  const message = isMessage(value?.message) ? value.message : value;
  if (!isMessage(message)) return null;
  const content = message.content ?? message.parts ?? [];
  const parts = [...(Array.isArray(content) ? content : [content]).map(partOf), ...(Array.isArray(message.tool_calls) ? message.tool_calls : []).map(callOf)];
  const known = typeof message.role === "string" ? message.role : role;
  const name = message.name ?? message.tool_call_id;
  return { role: typeof name === "string" ? `${known} ${name}` : known, parts: parts.filter(({ text }) => text !== "") };
}

function partOf(part) {
  if (typeof part !== "object" || part === null) return { kind: "text", text: asText(part) };
  const kind = typeof part.type === "string" ? part.type : "text";
  if (kind === "tool_call" || kind === "tool_use") return callOf(part);
  const text = part.text ?? part.content ?? part.thinking ?? part.reasoning;
  if (typeof text === "string") return { kind: kind === "text" || kind === "output_text" ? "text" : kind, text };
  return { kind, text: asText(part.image_url?.url ?? part.response ?? part.result ?? text ?? part, 2) };
}

function callOf(call) {
  const { name, arguments: given } = call?.function ?? call ?? {};
  return { kind: "calls", text: `${asText(name ?? "a tool")}(${asText(given ?? call?.input ?? "")})` };
}

export function conversation(messages) {
  return element("ol", { className: "conversation" }, ...messages.map(shown));
}

function shown({ role, parts }) {
  const texts = parts.map(({ kind, text }) =>
    element("div", { className: "said", dir: "auto" }, kind === "text" ? null : element("span", { className: "tag" }, kind.replaceAll("_", " ")), text),
  );
  const known = ["system", "user", "assistant", "tool"].find((each) => role.startsWith(each)) ?? "other";
  return element("li", { className: `message ${known}` }, element("span", { className: "role" }, role), ...texts);
}
