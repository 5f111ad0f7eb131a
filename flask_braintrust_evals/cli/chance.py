"""The probability that a change of paired numbers is chance.

``playground/chance.js`` does the same for the local page. Both pass the files in
``tests/comparisons``.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

NOISE = 0.05
"""The probability above which a change counts as what may be chance."""
EXACT = 14
"""Cases with a change up to which all their signs are tried."""
SAMPLES = 10_000
"""Random choices of signs that are tried if there are more."""
MIN_SAMPLES = 1_000
"""The same, where there are so many cases that this takes long."""
MAX_STEPS = 5_000_000
"""Signs that are chosen in all, unless that gives fewer than :data:`MIN_SAMPLES`."""
TOLERANCE = 1e-9
"""Differences below this are none, because scores are floats."""


def chance_of(differences: Sequence[float]) -> float:
    """Return the probability of a sum as far from 0 or farther, if all signs are chance.

    This is the permutation test for pairs: https://en.wikipedia.org/wiki/Permutation_test. It is
    exact for up to :data:`EXACT` differences, and else an estimate, the same one each time.
    """
    changed = [each for each in differences if abs(each) > TOLERANCE]
    if not changed:
        return 1.0
    seen = abs(sum(changed)) - TOLERANCE
    if len(changed) <= EXACT:
        choices = itertools.product((1, -1), repeat=len(changed))
        far = [abs(sum(s * d for s, d in zip(signs, changed, strict=True))) for signs in choices]
        return sum(each >= seen for each in far) / len(far)
    samples = min(SAMPLES, max(MIN_SAMPLES, MAX_STEPS // len(changed)))
    words = _random_words()
    count = sum(abs(_random_sum(changed, words)) >= seen for _ in range(samples))
    return (count + 1) / (samples + 1)


def _random_sum(differences: Sequence[float], words: Iterator[int]) -> float:
    """Return a sum of the differences with signs that are bits of random words."""
    total = 0.0
    for start in range(0, len(differences), 32):
        word = next(words)
        for place, each in enumerate(differences[start : start + 32]):
            total += each if word >> place & 1 else -each
    return total


def _random_words() -> Iterator[int]:
    """Yield random words of 32 bits, each time the same ones.

    The generator is Mulberry32, which JavaScript computes in a few operations, too.
    """
    state = 0
    while True:
        state = (state + 0x6D2B79F5) & 0xFFFFFFFF
        word = (state ^ state >> 15) * (state | 1) & 0xFFFFFFFF
        word ^= word + (word ^ word >> 7) * (word | 61) & 0xFFFFFFFF
        yield word ^ word >> 14
