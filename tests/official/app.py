"""The application that serves the evaluators of this suite beside the official server."""

from __future__ import annotations

import os

from flask import Flask

from flask_braintrust_evals import EvalsBlueprint


def create_app() -> Flask:
    bp = EvalsBlueprint("evals", __name__)
    bp.load(os.environ["EVAL_FILES"])
    app = Flask(__name__)
    app.register_blueprint(bp, url_prefix="/evals")
    return app
