// Tells of a row, which is a trial of a case, how far it is and what it is called.

// A task that has failed is done, too. What was cancelled is not.
export const isDone = ({ state }) => state === "done" || state === "error";

export const hasFailedScorers = ({ scorerErrors }) => Object.keys(scorerErrors ?? {}).length > 0;

export const isFailed = (row) => Boolean(row.error) || hasFailedScorers(row);

// Counts the scores of a row, and the scorers that failed on it, in a map from the name of each to { sum, count, failed }.
export function countScores(means, { scores, scorerErrors }) {
  const of = (name) => means.get(name) ?? means.set(name, { sum: 0, count: 0, failed: 0 }).get(name);
  for (const [name, { score }] of Object.entries(scores)) {
    const mean = of(name);
    if (typeof score === "number") [mean.sum, mean.count] = [mean.sum + score, mean.count + 1];
  }
  for (const name of Object.keys(scorerErrors ?? {})) of(name).failed += 1;
}

// Returns for instance "3", or "3.2" for the second trial of that case.
export const caseName = ({ index, trial }) => (trial ? `${index + 1}.${trial + 1}` : `${index + 1}`);
