"""Adds advice to the errors of event loops that cannot run in a greenlet.

``concurrency/greenlet_loops.py`` lets greenlets run asyncio's event loops. Loops that are written
in C, such as uvloop's, and libraries that remember the loop of a thread by their own means, still
take the greenlets of a thread for one, and raise one of these errors.
"""

from __future__ import annotations

from flask_braintrust_evals.plain_values import safe_text

_TEXTS = (
    "cannot be called from a running event loop",
    "this event loop is already running",
    "cannot run the event loop while another loop is running",
    "already running asyncio in this thread",
    "in the same thread as an async event loop",
)

ADVICE = (
    "under gevent, all plain functions share one thread, and this event loop cannot share it;"
    " declare the evaluator with blocking=True, load its file with load(path, blocking=True), or"
    " set BRAINTRUST_EVALS_BLOCKING for all evaluators"
)


def add_advice(error: RuntimeError) -> None:
    """Add to the message of an error what to write, if it is one of an event loop.

    The error itself is changed, so that its type and its traceback stay what they are.
    """
    text = safe_text(error)
    if ADVICE not in text and any(each in text.lower() for each in _TEXTS):
        error.args = (f"{text.rstrip('.')}; {ADVICE}",)
