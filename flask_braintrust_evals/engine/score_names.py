"""Under which names scores are kept: what a name means stays the same over all cases of a run."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from .calls.signatures import ScorerCall, free_name
from .values.scores import Score


class ScoreNames:
    """Gives each score of a run a name that hides no other. Thread-safe.

    A scorer's own name is its own, in every case. Any other name that scorers return belongs to the
    first that returns it; the scores of others, and repeats within one list, get a number.
    """

    def __init__(self, scorers: Sequence[ScorerCall]) -> None:
        self._lock = threading.Lock()
        self._taken = {scorer.name for scorer in scorers}
        self._given = {(scorer.name, scorer.name, 0): scorer.name for scorer in scorers}
        for scorer in scorers:
            # What a scorer calls itself is its own name, also where it had to be shown as another.
            self._given[scorer.name, scorer.own_name or scorer.name, 0] = scorer.name

    def name(self, scores: Sequence[Score], scorer: str) -> None:
        """Rename the scores that a scorer returned for one case, where they must be."""
        seen: dict[str, int] = {}
        with self._lock:
            for score in scores:
                repeat = seen.get(score.name, 0)
                seen[score.name] = repeat + 1
                key = (scorer, score.name, repeat)
                if key not in self._given:
                    self._given[key] = free_name(score.name, self._taken)
                    self._taken.add(self._given[key])
                score.name = self._given[key]
