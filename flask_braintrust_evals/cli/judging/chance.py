"""The probability that a change of paired numbers is chance.

``playground/assets/chance.js`` does the same for the local page. Both pass the files in
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
_BITS = [tuple(byte >> place & 1 for place in range(8)) for byte in range(256)]
"""The bits of each byte, the lowest first."""


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
        sums = _all_sums(changed)
        return sum(abs(each) >= seen for each in sums) / len(sums)
    samples = min(SAMPLES, max(MIN_SAMPLES, MAX_STEPS // len(changed)))
    count = sum(abs(each) >= seen for each in itertools.islice(_random_sums(changed), samples))
    return (count + 1) / (samples + 1)


def _all_sums(differences: Sequence[float]) -> list[float]:
    """Return the sums of the differences with all choices of signs."""
    sums = [0.0]
    for each in differences:
        sums = [total - each for total in sums] + [total + each for total in sums]
    return sums


def _random_sums(differences: Sequence[float]) -> Iterator[float]:
    """Yield sums of the differences with signs that are bits of random words."""
    whole = sum(differences)
    length = -(-len(differences) // 32)
    words = _random_words()
    while True:
        taken = itertools.islice(words, length)
        positive = b"".join(word.to_bytes(4, "little") for word in taken)
        signs = itertools.chain.from_iterable(map(_BITS.__getitem__, positive))
        yield 2 * sum(itertools.compress(differences, signs)) - whole


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
