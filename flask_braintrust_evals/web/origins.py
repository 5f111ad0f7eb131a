"""Decides which web pages may use the server.

The whole origin must match, including its case: browsers send origins in lower case, so an origin
in another case does not come from a browser.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

MAX_LENGTH = 300
"""Maximum characters of an origin; a host name has at most 253."""

_BRAINTRUST = re.compile(
    r"https?://(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)*(?:braintrust|braintrustdata)\.dev",
    re.ASCII,
)
_EXACT = frozenset({"https://www.braintrustdata.com"})


def is_allowed_origin(origin: str, further: Iterable[str | re.Pattern[str]] = ()) -> bool:
    """Return whether pages of this origin may use the server.

    Args:
        origin: the ``Origin`` header.
        further: other allowed origins: exact texts, or patterns that must match the whole text.
    """
    if not origin or len(origin) > MAX_LENGTH:
        return False
    if origin in _EXACT or _BRAINTRUST.fullmatch(origin):
        return True
    return any(
        origin == allowed if isinstance(allowed, str) else allowed.fullmatch(origin) is not None
        for allowed in further
    )
