"""Finds the line of the user's own code at which an exception was raised."""

from __future__ import annotations

import linecache
import os
import sysconfig
from functools import lru_cache
from pathlib import Path
from types import FrameType, TracebackType

from .error_texts import grouped_errors

MAX_LINE = 120
"""Characters of a line of code that are shown."""

_PACKAGE = str(Path(__file__).parents[1]) + os.sep
_LIBRARIES = tuple(
    os.path.realpath(path) + os.sep
    for name in ("stdlib", "platstdlib", "purelib", "platlib")
    if (path := sysconfig.get_path(name))
)
"""Folders whose code is not the user's own."""
_Place = tuple[FrameType, int]


def place_text(error: BaseException) -> str:
    """Return ``file:line in function: code`` of the last frame in the user's own code.

    That is code which is neither this package's, nor of an installed library or the standard
    library; where there is none, it is the last frame outside of this package. Empty: there is none
    either. Of a group of exceptions, the first one is asked before the group.
    """
    places = [_places(each.__traceback__) for each in (*grouped_errors(error)[:1], error)]
    own = next((own for own, _ in places if own is not None), None)
    found = own or next((last for _, last in places if last is not None), None)
    return "" if found is None else _described(*found)


def _places(trace: TracebackType | None) -> tuple[_Place | None, _Place | None]:
    """Return the last frame in the user's own code, and the last outside of this package."""
    own: _Place | None = None
    last: _Place | None = None
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if not file.startswith((_PACKAGE, "<")):  # code that is made at run time is in no file
            last = trace.tb_frame, trace.tb_lineno
            if is_own_code(file):
                own = last
        trace = trace.tb_next
    return own, last


@lru_cache(maxsize=1024)
def is_own_code(file: str) -> bool:
    """Return whether a file is neither this package's, nor that of a library or of Python."""
    path = os.path.realpath(file)
    return not (file.startswith("<") or path.startswith((_PACKAGE, *_LIBRARIES)))


def _described(frame: FrameType, line: int) -> str:
    code = frame.f_code
    text = linecache.getline(code.co_filename, line, frame.f_globals).strip()
    shown = text if len(text) <= MAX_LINE else text[:MAX_LINE] + "…"
    place = f"{_short(code.co_filename)}:{line} in {code.co_name}"
    return f"{place}: {shown}" if shown else place


def _short(file: str) -> str:
    """Return the path of a file relative to the working directory, if it is in there."""
    try:
        relative = os.path.relpath(file)
    except (OSError, ValueError):  # the directory is gone, or on another drive
        return file
    return file if relative.startswith(os.pardir) else relative
