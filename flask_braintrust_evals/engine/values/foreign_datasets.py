"""Datasets and experiments of the ``braintrust`` SDK that an evaluator has as its data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def _unchanged(data: Any) -> Any:
    return data


described: Callable[[Any], Any] = _unchanged
"""Returns an :class:`.OwnDataset` or :class:`.OwnExperiment` for a dataset or an experiment of the
``braintrust`` SDK, or for an iterator over one, which would log in as the application when it is
read, and any other value as it is. The package sets it, since the engine does not know the SDK."""
