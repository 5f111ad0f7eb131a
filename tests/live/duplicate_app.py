"""Applications with mistakes: two evaluators of one name, and a file that cannot be imported.

``EVALS`` names a folder with files of evaluators.
"""

from __future__ import annotations

import os
from typing import Any

from flask import Flask

from flask_braintrust_evals import EvalsBlueprint, Evaluator


def echo(input: Any) -> Any:
    return input


def decorated() -> Flask:
    bp = EvalsBlueprint("evals", __name__)

    @bp.evaluator("twin")
    def first(input: Any) -> Any:
        return input

    @bp.evaluator("twin")
    def second(input: Any) -> Any:
        return input

    return app_with(bp)


def loaded_and_decorated() -> Flask:
    bp = EvalsBlueprint("evals", __name__)
    bp.load(os.environ["EVALS"])
    bp.evaluator("twin")(echo)
    return app_with(bp)


def added_and_loaded() -> Flask:
    bp = EvalsBlueprint("evals", __name__, evaluators=[Evaluator("twin", echo)])
    bp.load(os.environ["EVALS"])
    return app_with(bp)


def loaded() -> Flask:
    bp = EvalsBlueprint("evals", __name__)
    bp.load(os.environ["EVALS"])
    return app_with(bp)


def app_with(bp: EvalsBlueprint) -> Flask:
    app = Flask(__name__)
    app.register_blueprint(bp, url_prefix="/evals")
    return app
