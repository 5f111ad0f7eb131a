// Tells of a row, which is a trial of a case, how far it is and what it is called.

// A task that has failed is done, too. What was cancelled is not.
export const isDone = ({ state }) => state === "done" || state === "error";

export const hasFailedScorers = ({ scorerErrors }) => Object.keys(scorerErrors ?? {}).length > 0;

export const isFailed = (row) => Boolean(row.error) || hasFailedScorers(row);

// Returns for instance "3", or "3.2" for the second trial of that case.
export const caseName = ({ index, trial }) => (trial ? `${index + 1}.${trial + 1}` : `${index + 1}`);
