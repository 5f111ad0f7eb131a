"""Imports before the first request what the first request would import."""

from __future__ import annotations


def warm_up() -> None:
    """Import what serving a run needs, which otherwise the first request or run imports.

    Call it where a worker process starts, such as in gunicorn's ``post_worker_init``, so that the
    first user does not wait for it: about half a second, and another half where the ``braintrust``
    package is installed.
    """
    from . import runtime, views
    from .contrib import braintrust_attachments, braintrust_spans
    from .engine.parameters import declare

    braintrust_spans()
    braintrust_attachments()
    del runtime, views, declare
