"""Quantiles of numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence


def quantile(values: Sequence[float], share: float) -> float:
    """Return the smallest of the values that at least this share of them does not exceed.

    It is one of the values: with 20 of them, the quantile 0.95 is the second largest.

    Args:
        values: numbers, at least one, in any order.
        share: from 0 to 1.
    """
    ordered = sorted(values)
    # Rounded first: 0.95 * 20 is a little more than 19.
    rank = math.ceil(round(share * len(ordered), 9))
    return ordered[max(rank, 1) - 1]
