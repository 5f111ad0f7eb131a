// Reads objects whose keys are names that others have chosen, such as "constructor".

// Every object has inherited properties: record["constructor"] is a function.
export const own = (record, name) => (record && Object.hasOwn(record, name) ? record[name] : undefined);

export const scoreOf = (row, name) => own(row.scores, name)?.score;
