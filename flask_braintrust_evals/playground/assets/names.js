// Finds misspelled names, as texts/suggestions.py does for the command line.

const MIN_LENGTH = 4;

// Returns whether a name is a known one, written with one letter missing, added, replaced or swapped with the next.
export function isMisspelled(name, known) {
  const [ours, theirs] = [plain(name), plain(known)];
  if (ours === theirs) return name !== known;
  if (Math.min(ours.length, theirs.length) < MIN_LENGTH || Math.abs(ours.length - theirs.length) > 1) return false;
  const at = [...ours].findIndex((letter, index) => letter !== theirs[index]);
  if (at < 0) return true; // one letter more at the end
  const [mine, other] = [ours.slice(at), theirs.slice(at)];
  return (
    mine.slice(1) === other.slice(1) ||
    mine.slice(1) === other ||
    mine === other.slice(1) ||
    (mine[0] === other[1] && mine[1] === other[0] && mine.slice(2) === other.slice(2))
  );
}

const plain = (name) => name.toLowerCase().replaceAll("-", "_");
