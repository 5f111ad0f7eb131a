"""An application with a mistake: two evaluators of one name."""

from __future__ import annotations

from typing import Any

from flask import Flask

from flask_braintrust_evals import EvalsBlueprint


def create_app() -> Flask:
    bp = EvalsBlueprint("evals", __name__)

    @bp.evaluator("twin")
    def first(input: Any) -> Any:
        return input

    @bp.evaluator("twin")
    def second(input: Any) -> Any:
        return input

    app = Flask(__name__)
    app.register_blueprint(bp, url_prefix="/evals")
    return app
