"""The application that pages take for granted."""

from __future__ import annotations

from typing import Any

from flask import Flask

from flask_braintrust_evals import EvalsBlueprint

TEAMS = {"billing": ("charged", "invoice", "refund"), "shipping": ("parcel", "arrive")}

bp = EvalsBlueprint("evals", __name__)


def exact_match(output: Any, expected: Any) -> bool:
    return bool(output == expected)


@bp.evaluator(
    "ticket-triage",
    scores=[exact_match],
    parameters={"otherwise": {"type": "string", "default": ""}},
    project="helpdesk",
)
def triage(input: str, parameters: Any) -> str:
    """Which team gets the ticket."""
    for team, words in TEAMS.items():
        if any(word in input for word in words):
            return team
    if parameters.otherwise:
        return str(parameters.otherwise)
    raise ValueError("no team for this ticket")


@bp.evaluator("shout", scores=[exact_match])
def shout(input: str) -> str:
    """Says it louder."""
    return input.upper()


def create_app() -> Flask:
    app = Flask(__name__)
    app.register_blueprint(bp, url_prefix="/evals")
    return app
