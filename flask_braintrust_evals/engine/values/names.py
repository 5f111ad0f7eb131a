"""Makes names unique, and describes names that are longer than needed."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass


def free_name(name: str, taken: Container[str]) -> str:
    """Return ``name``, or the first of ``name (2)``, ``name (3)`` … that is not taken."""
    return FreeNames(taken).next(name)


class FreeNames:
    """Free names, of which many may be asked for that are the same.

    Args:
        taken: the names that are taken. None of them may become free.
    """

    def __init__(self, taken: Container[str]) -> None:
        self._taken = taken
        self._next: dict[str, int] = {}

    def next(self, name: str) -> str:
        """Return ``name``, or the first of ``name (2)``, ``name (3)`` … that is not taken."""
        candidate, number = name, self._next.get(name, 2)
        while candidate in self._taken:
            candidate, number = f"{name} ({number})", number + 1
        self._next[name] = max(2, number - 1)
        return candidate


@dataclass(frozen=True)
class LongName:
    """A second name of an evaluator, which another library gives it.

    Attributes:
        text: the name, such as ``"greeter [experiment_name=nightly]"``.
        prefix: what it begins with in every process, such as ``"greeter [experiment_name="``.
        is_stable: whether every process gives the evaluator this name; a name that contains the
            time is not stable.
    """

    text: str
    prefix: str
    is_stable: bool
