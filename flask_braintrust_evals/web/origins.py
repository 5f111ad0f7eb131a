"""Which web pages may talk to the server.

Matching is on the whole text, case included: browsers send origins in lower case, and whatever is
written otherwise does not come from one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

LONGEST_ORIGIN = 300
"""Characters; host names end at 253."""

_BRAINTRUST = re.compile(
    r"https?://(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)*(?:braintrust|braintrustdata)\.dev",
    re.ASCII,
)
_EXACT = frozenset({"https://www.braintrustdata.com"})


def is_allowed_origin(origin: str, further: Iterable[str | re.Pattern[str]] = ()) -> bool:
    """Return whether pages of this origin may use the server.

    Args:
        origin: the ``Origin`` header.
        further: origins beside Braintrust's own: exact strings, or patterns for the whole text.
    """
    if not origin or len(origin) > LONGEST_ORIGIN:
        return False
    if origin in _EXACT or _BRAINTRUST.fullmatch(origin):
        return True
    return any(
        origin == allowed if isinstance(allowed, str) else allowed.fullmatch(origin) is not None
        for allowed in further
    )
