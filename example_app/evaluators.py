"""The tool's evaluators, with which the Braintrust Playground can run the code in helpdesk.py."""

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
"""Cases for the local page, the command line and tests. The Playground sends its own cases."""


def exact_match(output: Any, expected: Any) -> float | None:
    """Return 1 for the expected output and 0 for another; no score if nothing is expected."""
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
            "description": "The team for tickets that match no team's words",
        }
    },
)
def ticket_triage(input: str, hooks: EvalHooks) -> str:
    """Return a ticket's team. The Playground shows the parameter as a choice of teams."""
    return helpdesk.triage(input, default_team=hooks.parameters.default_team)


def polite(output: str) -> Score:
    """Return a score with an explanation."""
    thanks = output.startswith("Thank you")
    return Score("polite", float(thanks), {"why": "thanks first" if thanks else "no thanks"})


def length(output: str) -> Classification:
    """Return a label instead of a number, as classifiers do."""
    return Classification(id="short" if len(output) < 80 else "long", name="length")


@evals_bp.evaluator(
    "reply-draft",
    scores=[polite],
    classifiers=[length],
    data=[{"input": "Where is my refund?"}, {"input": "The package arrived damaged"}],
)
async def reply_draft(input: str, hooks: EvalHooks) -> str:
    """Draft a reply. Each word appears in the Playground's cell when it is written."""
    reply = ""
    async for word in helpdesk.draft_reply(input):
        reply += word
        hooks.report_progress({"event": "text_delta", "data": word})
    return reply.strip()


def right_status(output: dict[str, Any], expected: str | None) -> bool:
    """Return a bool: ``True`` and ``False`` are the scores 1 and 0."""
    return bool(output["status"] == expected)


ORDERS = [
    {"input": "Where is A-1001?", "expected": "shipped"},
    {"input": "Has A-1002 left yet?", "expected": "packing"},
    {"input": "I never received anything"},
]


@evals_bp.evaluator("order-lookup", scores=[right_status], data=ORDERS)
def order_lookup(input: str) -> dict[str, str | None]:
    """Look up an order. Fails on tickets that name no known order; their cells show the error."""
    return helpdesk.order_status(input)
