"""Says what to write where code of users fails because of an event loop.

Some loops cannot run in a greenlet: ``concurrency/loops/greenlet_loops.py`` lets greenlets run
asyncio's, but loops that are written in C, such as uvloop's, and libraries that remember the loop
of a thread by their own means, still take the greenlets of a thread for one, and raise one of these
errors. Others fail because they are used in several loops.
"""

from __future__ import annotations

from flask_braintrust_evals.texts.safe_texts import safe_text

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

_TEXTS_OF_OTHER_LOOP = (
    "bound to a different event loop",
    "attached to a different loop",
    "event loop is closed",
)
OTHER_LOOP = (
    "the reason is an object of another event loop, such as an HTTP client that is kept between"
    " calls: use it in coroutines only, which share one loop, or make it where it is used"
)
_MAX_CAUSES = 20


def with_loop_advice(text: str, error: BaseException) -> str:
    """Return the text of a failure, with what to write if it comes from a mixture of event loops.

    Clients of models hide that: what they raise is a "Connection error" whose cause has the reason.

    Args:
        text: the text.
        error: the exception that failed the task or the scorer.
    """
    cause: BaseException | None = error
    for _ in range(_MAX_CAUSES):
        if cause is None:
            break
        if isinstance(cause, RuntimeError):
            said = safe_text(cause).lower()
            if any(each in said for each in _TEXTS_OF_OTHER_LOOP):
                return f"{text.rstrip('.')}; {OTHER_LOOP}"
        cause = cause.__cause__ or cause.__context__
    return text


def add_advice(error: RuntimeError) -> None:
    """Add to the message of an error what to write, if it is one of an event loop.

    The error itself is changed, so that its type and its traceback stay what they are.
    """
    text = safe_text(error)
    if ADVICE not in text and any(each in text.lower() for each in _TEXTS):
        error.args = (f"{text.rstrip('.')}; {ADVICE}",)
