"""Makes names unique, and describes names that are longer than needed."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass


def free_name(name: str, taken: Container[str]) -> str:
    """Return ``name``, or the first of ``name (2)``, ``name (3)`` … that is not taken."""
    candidate, number = name, 2
    while candidate in taken:
        candidate, number = f"{name} ({number})", number + 1
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
