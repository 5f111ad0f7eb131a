// Computes the probability that a change of paired numbers is chance.
// cli/judging/chance.py does the same for the command line. Both pass the files in tests/comparisons.

export const NOISE = 0.05; // the probability above which a change counts as what may be chance
export const TOLERANCE = 1e-9; // differences below this are none, because scores are floats
const EXACT = 14; // cases with a change up to which all their signs are tried
const SAMPLES = 10_000; // random choices of signs that are tried if there are more
const MIN_SAMPLES = 1_000; // the same, where there are so many cases that this takes long
const MAX_STEPS = 5_000_000; // signs that are chosen in all, unless that gives fewer than MIN_SAMPLES

// Returns the probability of a sum as far from 0 or farther, if all signs are chance: the permutation test for pairs.
export function chanceOf(differences) {
  const changed = differences.filter((each) => Math.abs(each) > TOLERANCE);
  if (!changed.length) return 1;
  const seen = Math.abs(changed.reduce((sum, each) => sum + each, 0)) - TOLERANCE;
  const isFar = (total) => Math.abs(total) >= seen;
  let far = 0;
  if (changed.length <= EXACT) {
    const choices = 2 ** changed.length;
    for (let signs = 0; signs < choices; signs++) far += isFar(signed(changed, 0, signs));
    return far / choices;
  }
  const samples = Math.min(SAMPLES, Math.max(MIN_SAMPLES, Math.floor(MAX_STEPS / changed.length)));
  const next = randomWords();
  for (let sample = 0; sample < samples; sample++) {
    let total = 0;
    for (let start = 0; start < changed.length; start += 32) total += signed(changed, start, next());
    far += isFar(total);
  }
  return (far + 1) / (samples + 1);
}

// Returns the sum of up to 32 differences with the signs that the bits of a word give.
function signed(differences, start, word) {
  const end = Math.min(differences.length, start + 32);
  let total = 0;
  for (let at = start; at < end; at++) total += (word >>> (at - start)) & 1 ? differences[at] : -differences[at];
  return total;
}

// Returns a function that gives random words of 32 bits, each time the same ones: Mulberry32.
function randomWords() {
  let state = 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let word = Math.imul(state ^ (state >>> 15), state | 1);
    word ^= word + Math.imul(word ^ (word >>> 7), word | 61);
    return (word ^ (word >>> 14)) >>> 0;
  };
}
