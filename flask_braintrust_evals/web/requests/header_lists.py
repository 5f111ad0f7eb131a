"""Bounds the lists in headers, which take long to read.

A client may send a header in many lines, which servers join. To read the entries of such a list of
a megabyte takes seconds, in which nothing else runs, and for most of them no token is needed.
"""

from __future__ import annotations

from flask import Request

MAX_LENGTH = 4096
"""Characters of a list; those that browsers send have hundreds."""


def forget_long_lists(request: Request, *names: str) -> None:
    """Take headers of these names out of a request that are too long, as if they were not sent."""
    for name in names:
        if len(request.headers.get(name, "")) > MAX_LENGTH:
            del request.environ["HTTP_" + name.upper().replace("-", "_")]
