"""The tool's evaluators: what the Braintrust Playground can run against the code in helpdesk.py."""

from __future__ import annotations

from typing import Any

from flask_braintrust_evals import Classification, EvalHooks, EvalsBlueprint, Score

from . import helpdesk

evals_bp = EvalsBlueprint("evals", __name__)

TICKETS = [
    {"input": "I was charged twice for one payment", "expected": "billing"},
    {"input": "Tracking says my parcel was delivered, but it was not", "expected": "shipping"},
    {"input": "I cannot log in since this morning", "expected": "account"},
    {"input": "Do you sell gift cards?", "expected": "front desk"},
    {"input": "My courier wants a payment", "expected": "shipping"},
]
"""Cases of its own, for the local page, the command line and tests; the Playground brings its."""


def exact_match(output: Any, expected: Any) -> float | None:
    """1 where the output is what was expected; no score where nothing was."""
    return None if expected is None else float(output == expected)


@evals_bp.evaluator(
    "ticket-triage",
    scores=[exact_match],
    data=TICKETS,
    parameters={
        "default_team": {
            "type": "string",
            "default": "front desk",
            "enum": ["front desk", "billing", "shipping", "account"],
            "description": "Who gets tickets that nobody's words match",
        }
    },
)
def ticket_triage(input: str, hooks: EvalHooks) -> str:
    """With a parameter: the Playground shows a choice, and each run gets the value chosen there."""
    return helpdesk.triage(input, default_team=hooks.parameters.default_team)


def polite(output: str) -> Score:
    """A score with an explanation."""
    thanks = output.startswith("Thank you")
    return Score("polite", float(thanks), {"why": "thanks first" if thanks else "no thanks"})


def length(output: str) -> Classification:
    """A classifier gives a label instead of a number."""
    return Classification(id="short" if len(output) < 80 else "long", name="length")


@evals_bp.evaluator("reply-draft", scores=[polite], classifiers=[length])
async def reply_draft(input: str, hooks: EvalHooks) -> str:
    """Asynchronous, and streaming: words appear in the Playground's cell as they are written."""
    reply = ""
    async for word in helpdesk.draft_reply(input):
        reply += word
        hooks.report_progress({"event": "text_delta", "data": word})
    return reply.strip()


def right_status(output: dict[str, Any], expected: str | None) -> bool:
    """True and False are the scores 1 and 0."""
    return bool(output["status"] == expected)


@evals_bp.evaluator("order-lookup", scores=[right_status])
def order_lookup(input: str) -> dict[str, str | None]:
    """Fails on tickets that name no known order: those cells show the error, the others go on."""
    return helpdesk.order_status(input)
