"""Compares a run with the results of an earlier one, case by case.

``playground/assets/compare.js`` does the same for the local page. Both pass the files in
``tests/comparisons``.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flask_braintrust_evals.cli.stored_results.saved_results import SavedCase, SavedRun
from flask_braintrust_evals.engine.values.summary import cases_text

from .chance import NOISE, TOLERANCE, chance_of


@dataclass(frozen=True)
class ScoreChange:
    """The change of a score.

    Attributes:
        name: the name of the score.
        before: its mean over the cases that both runs have.
        now: the same, in this run.
        cases: how many cases both runs have.
        better: how many of them have a higher score than before.
        worse: how many have a lower one.
        chance: the probability of a change of the mean at least as large, up or down, if it were
            chance for each case whether its score went up or down.
    """

    name: str
    before: float
    now: float
    cases: int
    better: int
    worse: int
    chance: float

    @property
    def diff(self) -> float:
        """The change of the mean."""
        return self.now - self.before

    def as_json(self) -> dict[str, float]:
        """Return the change as values of JSON."""
        return {
            "diff": self.diff,
            "improvements": self.better,
            "regressions": self.worse,
            "chance": self.chance,
        }

    @property
    def is_noise(self) -> bool:
        """Whether the change may be chance."""
        return self.chance > NOISE

    @property
    def likely(self) -> str:
        """Whether the change is more than noise, in words."""
        probability = "p < 0.001" if self.chance < 0.0005 else f"p = {self.chance:.3f}"
        return f"{'may be chance' if self.is_noise else 'is hardly chance'} ({probability})"

    def is_worse(self, tolerance: float | None) -> bool:
        """Return whether the mean has fallen by more than this; ``None``: by more than noise."""
        if tolerance is None:
            return self.diff < -TOLERANCE and not self.is_noise
        return self.diff < -tolerance - TOLERANCE


@dataclass(frozen=True)
class BaselineComparison:
    """A comparison with an earlier run.

    Attributes:
        file: the file with its results.
        scores: the scores that both runs have, by name.
        missing: the scores that only the earlier one has.
        cases: how many cases both have.
        only_before: how many cases only the earlier one has.
        only_now: how many only this one has.
        before: the earlier run as its file has it.
    """

    file: str
    scores: Mapping[str, ScoreChange]
    missing: Sequence[str] = ()
    cases: int = 0
    only_before: int = 0
    only_now: int = 0
    before: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def as_json(self) -> dict[str, Any]:
        """Return what was compared as values of JSON."""
        return {
            "file": self.file,
            "cases": self.cases,
            "only_before": self.only_before,
            "only_now": self.only_now,
        }

    def problems(self, tolerances: Mapping[str, float], every: bool) -> dict[str, str]:
        """Return a message for each score that is worse than it may be, by its name.

        Args:
            tolerances: by how much the means of scores may fall, by name.
            every: whether the mean of no score may fall by more than what may be chance.
        """
        found = {}
        for name, change in self.scores.items():
            if name in tolerances and change.is_worse(tolerances[name]):
                found[name] = f"{_fell(change)}, and may fall by {tolerances[name]:g}"
            elif name not in tolerances and every and change.is_worse(None):
                found[name] = f"{_fell(change)}, which {change.likely}"
        for name in tolerances.keys() - self.scores.keys():
            found[name] = f"the score {name} cannot be compared: no case of both runs has it"
        if every and not self.cases:
            found["baseline"] = f"no case can be compared with one of {self.file}"
        for name in self.missing if every else ():
            found[name] = f"no case has the score {name}, which cases in {self.file} have"
        return found

    def remarks(self, known: Container[str]) -> list[str]:
        """Return a line for each score that has changed, whether that may be chance.

        Args:
            known: names of scores that are left out.
        """
        changed = [each for each in self.scores.values() if abs(each.diff) > TOLERANCE]
        return [_judged(each) for each in changed if each.name not in known]


def compare(now: SavedRun, before: SavedRun, file: str) -> BaselineComparison:
    """Compare two runs.

    Cases are the same if they have the same id or, without one, the same input. Trials of a case
    count as one, with the mean of their scores. A case on which the task failed has no scores.
    """
    ours, theirs = _by_case(now.results), _by_case(before.results)
    both = [key for key in ours if key in theirs]
    names = [name for name in before.score_names if name in now.score_names]
    changes = {}
    for name in names:
        pairs = [
            (old, new)
            for key in both
            if (old := _mean(theirs[key], name)) is not None
            and (new := _mean(ours[key], name)) is not None
        ]
        if pairs:
            changes[name] = _change(name, pairs)
    return BaselineComparison(
        file,
        changes,
        [name for name in before.score_names if name not in now.score_names],
        len(both),
        len(theirs) - len(both),
        len(ours) - len(both),
        before.body,
    )


def _by_case(results: Sequence[SavedCase]) -> dict[str, list[SavedCase]]:
    found: dict[str, list[SavedCase]] = {}
    for each in results:
        found.setdefault(each.key, []).append(each)
    return found


def _mean(trials: Sequence[SavedCase], name: str) -> float | None:
    values = [value for each in trials if (value := each.scores.get(name)) is not None]
    return sum(values) / len(values) if values else None


def _change(name: str, pairs: Sequence[tuple[float, float]]) -> ScoreChange:
    differences = [new - old for old, new in pairs]
    return ScoreChange(
        name,
        sum(old for old, _ in pairs) / len(pairs),
        sum(new for _, new in pairs) / len(pairs),
        len(pairs),
        sum(each > TOLERANCE for each in differences),
        sum(each < -TOLERANCE for each in differences),
        chance_of(differences),
    )


def _judged(change: ScoreChange) -> str:
    verb = "rose" if change.diff > 0 else "fell"
    return f"{change.name} {verb} by {abs(change.diff):.4f}, which {change.likely}"


def _fell(change: ScoreChange) -> str:
    fell = f"fell from {change.before:.4f} to {change.now:.4f}"
    return f"{change.name} {fell} over {cases_text(change.cases)}"
