"""The application to which made-up requests are sent."""

from __future__ import annotations

from typing import Any

from flask import Flask

from flask_braintrust_evals import EvalsBlueprint


def make_app() -> Flask:
    bp = EvalsBlueprint("evals", __name__)

    @bp.evaluator(
        "echo",
        scores=[lambda output: 1.0],
        parameters={"mood": {"type": "string", "default": "calm"}},
    )
    def echo(input: Any) -> Any:
        return input

    app = Flask(__name__)
    app.config.update(
        BRAINTRUST_EVALS_AUTH="none",
        BRAINTRUST_EVALS_OPENAPI=True,
        BRAINTRUST_EVALS_MAX_BODY=1_000_000,
    )
    app.register_blueprint(bp, url_prefix="/evals")
    return app


APP = make_app()
KNOWN = {200, 204, 400, 401, 403, 404, 405, 413, 415}
"""Statuses that any request may be answered with."""
