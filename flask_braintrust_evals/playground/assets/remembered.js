// Small things that are kept in the browser: windows that keep nothing do without them.

export function remember(name, value) {
  try {
    localStorage.setItem(`braintrust-evals ${name}`, value);
  } catch {
    // The browser keeps nothing of this page.
  }
}

export function remembered(name) {
  try {
    return localStorage.getItem(`braintrust-evals ${name}`);
  } catch {
    return null;
  }
}
