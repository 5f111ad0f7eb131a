"""Recognizes failures of code that must not run in several threads at a time."""

from __future__ import annotations

import re
from collections.abc import Iterable

from flask_braintrust_evals.engine.values.results import CaseError

_SIGNS = re.compile(
    "objects created in a thread can only be used in that same thread"
    "|changed size during iteration|mutated during iteration"
    "|dictionary keys changed during iteration|list modified during sort"
    "|generator already executing|recursive use of cursors|reentrant call"
    "|thread[- ]?safe|different thread|another thread|database is locked"
    "|there is no current event loop in thread|signal only works in main thread"
    "|already in progress|cannot switch to a different thread",
    re.IGNORECASE,
)

HINT = (
    "some of these failures look as if code is not made for several threads at a time: try"
    " --max-concurrency 1, and if that helps, give the evaluator max_concurrency=1"
)


def has_thread_error(errors: Iterable[CaseError]) -> bool:
    """Return whether one of the errors is usual where threads disturb each other."""
    return any(_SIGNS.search(error.message) for error in errors)
