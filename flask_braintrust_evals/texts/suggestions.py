"""Finds the known name that a misspelled one stands for."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from .excerpts import MAX_QUOTED

ALIKE = 0.5
"""How alike two names must be, from 0 to 1, so that one is suggested for the other."""
MAX_SIMILAR = 3
"""Similar names that a message suggests."""
MAX_LISTED = 20
"""Names that a message lists."""
MIN_LENGTH = 4
"""Letters below which a name is too short to be a misspelling of another one."""


def did_you_mean(name: str, known: Iterable[str], prefix: str = "") -> str:
    """Return the end of a message about an unknown name: similar names, or all that there are.

    Args:
        name: the unknown name.
        known: the known names.
        prefix: how all of these names begin, which is left out of both.
    """
    known = list(known)
    similar = _similar_names(name, known)
    if similar:
        return f"did you mean {' or '.join(repr(prefix + each) for each in similar)}?"
    listed = [repr(prefix + each) for each in known[:MAX_LISTED]]
    more = ", …" if len(known) > MAX_LISTED else ""
    return f"there are: {', '.join(listed) or 'none'}{more}"


def is_misspelled(name: str, known: str) -> bool:
    """Return whether a name is surely a misspelling of a known one.

    That is so if they differ in the case of letters or in ``-`` and ``_`` only, or by one letter
    that is missing, added, replaced or swapped with its neighbour, and are not short.
    """
    ours, theirs = _plain(name), _plain(known)
    if ours == theirs:
        return name != known
    if min(len(ours), len(theirs)) < MIN_LENGTH or abs(len(ours) - len(theirs)) > 1:
        return False
    at = next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), None)
    if at is None:
        return True  # one letter more at the end
    mine, other = ours[at:], theirs[at:]
    return (
        mine[1:] == other[1:]
        or mine[1:] == other
        or mine == other[1:]
        or (mine[:2] == other[1::-1] and mine[2:] == other[2:])
    )


def _similar_names(name: str, known: Iterable[str]) -> list[str]:
    """Return the known names that are like this one, the closest one first.

    Upper and lower case, and ``-`` and ``_``, count as the same.
    """
    if len(name) > MAX_QUOTED:
        return []  # names are compared letter by letter, which takes long for a long one
    plain = {_plain(each): each for each in known}
    found = difflib.get_close_matches(_plain(name), plain, n=MAX_SIMILAR, cutoff=ALIKE)
    return [plain[each] for each in found]


def _plain(name: str) -> str:
    return name.casefold().replace("-", "_")
