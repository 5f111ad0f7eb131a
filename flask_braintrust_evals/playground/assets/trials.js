// Counts the trials of cases. Those of a case are as many as it says itself or, if it does not, as the request says, or
// else the evaluator.

// `described` is what the server says of the evaluator; undefined: it does not have it.
export function trialsOf(given, request, described) {
  return positive(given?.trial_count) ?? positive(request?.trial_count) ?? described?.trial_count ?? 1;
}

// Returns the number of the cases and trials of a request, or null if it is not known.
export function totalOf(request, described) {
  const { data } = request;
  if (Array.isArray(data?.data)) return data.data.reduce((sum, each) => sum + trialsOf(each, request, described), 0);
  const cases = data?.own ? described?.cases : undefined;
  if (typeof cases !== "number") return null;
  const own = described.own_trials ?? { cases: 0, trials: 0 };
  return (cases - own.cases) * trialsOf(null, request, described) + own.trials;
}

const positive = (count) => (Number.isInteger(count) && count > 0 ? count : undefined);
