// The same evaluators for the official JavaScript dev server.
const { Eval } = require("braintrust");

const WAIT = 50; // milliseconds
const one = () => ({ name: "one", score: 1 });

Eval("empty", { data: [], task: (input) => input, scores: [one], maxConcurrency: 10 });
Eval("async", {
  data: [],
  task: async (input) => {
    await new Promise((resolve) => setTimeout(resolve, WAIT));
    return input;
  },
  scores: [one],
  maxConcurrency: 100,
});
