"""Imports before the first request what the first request would import."""

from __future__ import annotations


def warm_up() -> None:
    """Import what serving a run needs, which otherwise the first request or run imports.

    Call it where a worker process starts, such as in gunicorn's ``post_worker_init``, so that the
    first user does not wait for it, which is about half a second.
    """
    from flask_braintrust_evals.engine.parameters import declare
    from flask_braintrust_evals.extension import runtime
    from flask_braintrust_evals.web.answers import own_answer

    from . import views

    del runtime, views, declare, own_answer
