"""A small helpdesk tool that serves evaluators of its own code at ``/evals``.

gunicorn -c example_app/gunicorn.conf.py "example_app:create_app()"
"""

from __future__ import annotations

import os
from html import escape
from typing import Any

from flask import Flask, request

from . import helpdesk
from .evaluators import evals_bp


def create_app(config: dict[str, Any] | None = None) -> Flask:
    """Make the application.

    Args:
        config: settings, over the environment's.
    """
    app = Flask(__name__)
    app.config["BRAINTRUST_EVALS_PLAYGROUND"] = True  # a page to try them at: /evals/playground
    # With a broker, cases run on Celery workers. SECRET_KEY must be the same there.
    if os.environ.get("CELERY_BROKER_URL"):
        app.config["SECRET_KEY"] = os.environ.get("SECRET_KEY")
        app.config["CELERY"] = {"broker_url": os.environ["CELERY_BROKER_URL"]}
        app.config["BRAINTRUST_EVALS_EXECUTOR"] = "celery"
    app.config.update(config or {})
    if "CELERY" in app.config:
        from .background import celery_init_app  # not at the top: the example runs without Celery

        celery_init_app(app)

    @app.get("/")
    def tickets() -> str:
        rows = "".join(
            f"<tr><td>{escape(text)}<td>{escape(helpdesk.triage(text))}"
            for text in helpdesk.TICKETS
        )
        return f"<!doctype html><title>Helpdesk</title><h1>Open tickets</h1><table>{rows}</table>"

    @app.post("/api/triage")
    def triage() -> dict[str, str]:
        return {"team": helpdesk.triage(str(request.get_json().get("text", "")))}

    # All of the integration: the evaluators are at /evals from here on.
    app.register_blueprint(evals_bp, url_prefix="/evals")
    return app
