// Compares two texts word by word, by their longest common subsequence.

import { element } from "./dom.js";

const CONTEXT = 200; // characters on each side of a difference
const MAX_WORDS = 1500; // words of each text; the algorithm's table has a cell for each pair of words

// Returns pieces { kind: "same" | "gone" | "new", text }, or null if a text is too long.
export function diff(before, after) {
  const old = words(before);
  const now = words(after);
  let start = 0;
  while (start < old.length && start < now.length && old[start] === now[start]) start++;
  let end = 0;
  while (end < Math.min(old.length, now.length) - start && old.at(-1 - end) === now.at(-1 - end)) end++;
  const middle = [old.slice(start, old.length - end), now.slice(start, now.length - end)];
  if (middle.some((part) => part.length > MAX_WORDS)) return null;
  return joined([
    ...old.slice(0, start).map((text) => ({ kind: "same", text })),
    ...aligned(...middle),
    ...old.slice(old.length - end).map((text) => ({ kind: "same", text })),
  ]);
}

// Returns the pieces, with only as much of long equal texts as is beside a difference, so that none is out of sight.
export function differing(pieces) {
  const last = pieces.length - 1;
  return pieces.map(({ kind, text }, at) => {
    if (kind !== "same" || text.length <= 3 * CONTEXT || !last) return { kind, text };
    const characters = [...text]; // of which some have two places in the text
    const after = at ? `${characters.slice(0, CONTEXT).join("")}\n` : "";
    const before = at < last ? `\n${characters.slice(-CONTEXT).join("")}` : "";
    return { kind, text: `${after}…${before}` };
  });
}

// Returns the children that show pieces: texts, and elements with the tags for their kinds, such as { gone: "del" }. A kind
// without a tag is left out, but for "same".
export function marked(pieces, tags) {
  return pieces.flatMap(({ kind, text }) => (kind === "same" ? [text] : tags[kind] ? [element(tags[kind], {}, text)] : []));
}

const words = (text) => text.match(/\s+|[\p{L}\p{N}_]+|[^\s\p{L}\p{N}_]/gu) ?? [];

function aligned(old, now) {
  const width = now.length + 1;
  const lengths = new Uint16Array((old.length + 1) * width);
  for (let i = old.length - 1; i >= 0; i--)
    for (let j = now.length - 1; j >= 0; j--)
      lengths[i * width + j] =
        old[i] === now[j]
          ? lengths[(i + 1) * width + j + 1] + 1
          : Math.max(lengths[(i + 1) * width + j], lengths[i * width + j + 1]);
  const pieces = [];
  let i = 0;
  let j = 0;
  while (i < old.length || j < now.length) {
    if (i < old.length && j < now.length && old[i] === now[j]) {
      pieces.push({ kind: "same", text: old[i++] });
      j++;
    } else if (j < now.length && (i === old.length || lengths[i * width + j + 1] > lengths[(i + 1) * width + j]))
      pieces.push({ kind: "new", text: now[j++] });
    else pieces.push({ kind: "gone", text: old[i++] });
  }
  return pieces;
}

function joined(pieces) {
  const result = [];
  for (const piece of pieces) {
    if (result.at(-1)?.kind === piece.kind) result.at(-1).text += piece.text;
    else result.push({ ...piece });
  }
  return result;
}
