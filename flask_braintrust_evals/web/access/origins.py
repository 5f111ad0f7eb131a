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
_PLAYGROUND = "https://www.braintrust.dev"
_EXACT = frozenset({"https://www.braintrustdata.com"})


def is_allowed_origin(
    origin: str, further: Iterable[str | re.Pattern[str]] = (), *, with_token: bool = True
) -> bool:
    """Return whether pages of this origin may use the server.

    Args:
        origin: the ``Origin`` header.
        further: other allowed origins: exact texts, or patterns that must match the whole text.
        with_token: whether each request needs a token. If so, a page can do nothing without one,
            and all pages are allowed that Braintrust's own servers allow: those of every subdomain,
            and those of plain HTTP, which anybody in between can replace. Otherwise only the
            Playground's is, besides ``further``.
    """
    if not origin or len(origin) > MAX_LENGTH:
        return False
    if origin == _PLAYGROUND:
        return True
    if with_token and (origin in _EXACT or _BRAINTRUST.fullmatch(origin)):
        return True
    return any(
        origin == allowed if isinstance(allowed, str) else allowed.fullmatch(origin) is not None
        for allowed in further
    )
