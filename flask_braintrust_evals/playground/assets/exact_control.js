// Makes controls exact: what is written to one is read from it unchanged, until its user changes it. A control may show
// less than its value has: a box for text has no "\r", and an empty field may stand for null or for nothing.
//
// The controls that are made exact have draft() and restore(draft), too: what its user has entered, whether it is valid or
// not. An exact control has { node, read(), write(value), kept(), restore(kept) }, where `kept` is { value } if the value is
// as it was written, and otherwise { draft }. Both can be kept in the browser's database.

export function exactly(control, schema) {
  let written;
  let shown = null; // what the control showed when it was written to; null: its user has entered something since
  const isUnchanged = () => shown !== null && shown === JSON.stringify(control.draft());
  const whenEmpty = () => (written === null || schema.emptyIsNull ? null : undefined);
  const made = {
    node: control.node,
    write(value) {
      control.write(value === null && schema.nullable ? undefined : value);
      written = value;
      shown = JSON.stringify(control.draft());
    },
    read() {
      if (isUnchanged() && written !== undefined) return written;
      if (isUnchanged() && !schema.required) return whenEmpty();
      const value = control.read();
      return value === undefined ? whenEmpty() : value;
    },
    kept: () => (isUnchanged() ? { value: written } : { draft: control.draft() }),
    restore(kept) {
      if (!Object.hasOwn(kept, "draft")) return made.write(valueOf(kept));
      control.restore(kept.draft);
      [written, shown] = [undefined, null];
      return undefined;
    },
  };
  return made;
}

function valueOf(kept) {
  if (!Object.hasOwn(kept, "value")) throw new TypeError("nothing was kept");
  return kept.value;
}

// Returns draft() and restore() of a control that is one element for text.
export function textOf(node) {
  const restore = (text) => {
    if (typeof text !== "string") throw new TypeError("what was kept is of another control");
    node.value = text;
  };
  return { draft: () => node.value, restore };
}

// Joins two exact controls for the same values: fields, and a text for values that these cannot show. `show(control)`
// shows one of them, and `suits(value)` returns whether the fields can show a value.
export function fieldsOrText(fields, text, { suits, show }) {
  let current = fields;
  const use = (control) => show((current = control));
  const made = {
    get current() {
      return current;
    },
    use,
    read: () => current.read(),
    write(value) {
      use(suits(value) ? fields : text);
      current.write(value);
    },
    kept() {
      const kept = current.kept();
      return Object.hasOwn(kept, "draft") ? { ...kept, isText: current === text } : kept;
    },
    restore(kept) {
      if (!Object.hasOwn(kept, "draft")) return made.write(valueOf(kept));
      use(kept.isText ? text : fields);
      return current.restore(kept);
    },
  };
  return made;
}
