"""The runs that are compared: every evaluator of :mod:`.same_app`, with what it needs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.server import cases

GENERATION = {"propagated_event": {"span_attributes": {"generation": "g-7"}}}


@dataclass(frozen=True)
class Comparable:
    """A run of one evaluator.

    Attributes:
        where: the prefix of its blueprint.
        name: its name.
        data: its cases; ``None``: its own.
        fields: further fields of the request.
        parent: fields of the request's parent; ``None``: it has none, and makes an experiment.
        is_cut_short: whether its time is up while cases run. Their spans are recorded if they end
            soon enough, which depends on how busy the machine is.
    """

    where: str
    name: str
    data: Any = None
    fields: dict[str, Any] = field(default_factory=dict)
    parent: dict[str, Any] | None = field(default_factory=dict)
    is_cut_short: bool = False

    def __str__(self) -> str:
        return f"{self.where}/{self.name} {self.data} {self.fields} {self.parent}"


def _of(where: str, inputs: dict[str, list[Any]]) -> list[Comparable]:
    return [Comparable(where, name, cases(*given)) for name, given in inputs.items()]


_CASE = {
    "input": {"q": 1.5, "é": [None, True]},
    "expected": ["x"],
    "metadata": {"m": {"n": 1}, "at": "before"},
    "tags": ["a", "ü"],
    "id": "case-1",
}
_ORIGIN = {
    "object_type": "dataset",
    "object_id": "d-1",
    "id": "r-1",
    "created": None,
    "_xact_id": "7",
}
_ROW = {**_CASE, "upsert_id": "row-7", "origin": _ORIGIN}
_CHAT = {
    "prompt": {"type": "chat", "messages": [{"role": "user", "content": "Thank {{name}}."}]},
    "options": {"model": "other"},
}
_REQUIRED = {"word": "w", "range": {"low": 1}, "engine": "e", "ask": _CHAT}

OWN = [
    Comparable("own", "whole", {"data": [_CASE, _ROW]}, {"parameters": {"limit": 5}}),
    Comparable("own", "whole", {"data": [_CASE, _ROW]}, {"trial_count": 3}, GENERATION),
    Comparable("own", "whole", {"data": [_CASE]}, {"experiment_name": "e"}, None),
    Comparable("own", "emptied"),
    Comparable("own", "late-spans", cases("first", "second")),
    *(Comparable("own", name) for name in ("generated", "generated-later", "kept-here")),
    *(Comparable("own", name) for name in ("attachments", "huge-attachment")),
    *_of(
        "own",
        {
            "handled": ["good", "bad"],
            "badly-handled": ["good", "bad"],
            "odd-error": ["x"],
            "leaving-scope": ["good", "bad"],
            "retried": ["x"],
            "slow": ["quick", "slow"],
            "large-spans": ["x"],
            "metered": ["x"],
            "metered-scorer": ["good", "bad"],
            "blocking": ["a", "b"],
        },
    ),
    Comparable("first", "twin", cases("x")),
    Comparable("second", "twin", cases("x")),
]

SCORES = [
    {"name": "exact_match", "function_id": {"function_id": "judge-id"}},
    {"name": "broken", "function_id": "broken-id"},
]
_ROWS = {"project_name": "golden", "dataset_name": "rows"}
REMOTE = [
    Comparable("own", "handled", cases("good", "bad"), {"scores": SCORES}, GENERATION),
    Comparable("own", "whole", {"data": [_ROW]}, {"scores": SCORES}),
    Comparable("own", "slow", cases("quick", "slow"), {"scores": SCORES}),
    Comparable("own", "badly-handled", cases("good", "bad"), {"scores": SCORES}),
    Comparable("own", "metered", cases("x"), {"scores": SCORES[:1]}),
    Comparable("own", "leaving-scope", cases("good", "bad"), {"scores": SCORES[:1]}),
    Comparable("live", "echo", cases("a", {"b": 1}), {"scores": SCORES[:1]}, None),
    Comparable("live", "echo", _ROWS, {"trial_count": 2}, GENERATION),
    Comparable("official", "attachments", {"project_name": "golden", "dataset_name": "images"}),
]

VALUES = ["nan", "bytes", "binary", "set", "dataclass", "datetime", "decimal", "uuid"]
LIVE = _of(
    "live",
    {
        "echo": ["a", {"b": [1, None, 1.5, "é\u2028\r\n"]}, None, True, 0, ""],
        "gated": ["a", "b"],
        "async-echo": ["a", "b"],
        "async-program": ["a"],
        "flaky": ["good", "bad", "exit"],
        "scored": ["a", "b"],
        "threads-of-coroutines": ["a", "b"],
        "unruly": ["interrupt", "exit", "recursion", "memory", "print", "generator exit", "group"],
        "large": [100_000],
        "context": ["x"],
        "values": [*VALUES, "object", "surrogate", "lines", "unknown"],
        "parameters": ["x"],
    },
)
LIVE += [
    Comparable("live", "parameters", cases("x"), {"parameters": {"times": 2, "greeting": "yo"}}),
    Comparable("live", "echo", cases("x"), {"trial_count": 2}, GENERATION),
    Comparable("live", "patient", cases("a"), {"timeout": 1000}, is_cut_short=True),
    Comparable("live", "async-patient", cases("a"), {"timeout": 1000}, is_cut_short=True),
    # After all others: it changes the environment of the process.
    Comparable("live", "unruly", cases("environment", "directory")),
]

SDK_RUNS = _of(
    "sdk",
    {
        "assistant": ["hi"],
        "async-assistant": ["a", "b"],
        "failing": ["x"],
        "threads": ["x"],
        "parents": ["x"],
        "attachments": ["x"],
        "executors": ["x"],
        "stored-attachment": ["x"],
        "large attachment": ["x"],
        "large attachment, blocking": ["x"],
        "feedback": ["x"],
    },
)

TRACED = _of("traced", {"traced": ["x", "y"], "curious": ["x"], "async-traced": ["x"]})

EXAMPLE = [
    Comparable("example", "ticket-triage"),
    Comparable("example", "ticket-triage", None, {"parameters": {"default_team": "billing"}}, None),
    Comparable("example", "reply-draft", cases("Where is my refund?")),
    Comparable("example", "order-lookup", cases("of A-1001", "of Z-9999", "none")),
]

_REPORTS = [
    {"format": "code", "output_type": "completion", "event": "text_delta", "data": "a\n\u2028"},
    {"event": "json_delta", "data": '{"a":1}', "other": 1},
]
OFFICIAL = _of(
    "official",
    {
        "async echo": ["a"],
        "one argument": ["a"],
        "flaky": ["good", "bad"],
        "async flaky": ["good", "bad"],
        "reporting": [_REPORTS],
        "async reporting": [_REPORTS],
        "retagged": [["a", "b"], []],
        "spanned": ["a"],
        "trials": ["a", "b"],
        "values": ["text", "nested", "nan", "bytes", "set", "dataclass", "model", "datetime"],
        "described": ["a"],
        "parameters": [""],
        "parameters got": [""],
        "no parameters": [""],
        "empty parameters": [""],
        "saved": [""],
        "saved by id": [""],
        "saved version": [""],
        "saved environment": [""],
        "returning": ["a", "b"],
        "objects": ["a"],
        "partial": ["a"],
        "failing scorers": ["a"],
        "not a number": ["a"],
        "without score": ["a"],
        "of numbers": ["a"],
        "unhandled errors": ["good", "bad"],
        "zero for errors": ["good", "bad"],
        "half for errors": ["good", "bad"],
        "classified": ["a"],
        "only classified": ["a"],
        "traced": ["a", "b"],
        "async traced": ["a"],
    },
)
OFFICIAL += [
    Comparable("official", "late", cases("quick", "slow"), is_cut_short=True),
    Comparable("official", "waiting", cases("a"), is_cut_short=True),
    Comparable("official", "echo"),
    Comparable("official", "described", cases("a"), {}, None),
    *(
        Comparable("official", name, {"data": [_CASE]})
        for name in ("hooked", "told", "hooks as dict", "given", "given otherwise")
    ),
    *(
        Comparable("official", "parameters", cases(""), {"parameters": given})
        for given in (
            {"prefix": "yo", "count": 3, "loud": True, "words": []},
            {"style": {"tone": "strict"}, "model": "other", "main": _CHAT, "notes": [1, None]},
            {"prefix": None, "model": None, "main": None, "notes": None},
        )
    ),
    Comparable("official", "required parameters", cases(""), {"parameters": _REQUIRED}),
    Comparable("official", "saved", cases(""), {"parameters": {"greeting": "given"}}),
]

RUNS = [*OWN, *REMOTE, *SDK_RUNS, *TRACED, *EXAMPLE, *OFFICIAL, *LIVE]

_WITHOUT_OPENAI = [run for run in SDK_RUNS if "assistant" not in run.name]
OF_POOL = {"prefork": RUNS, "threads": [*OWN, *REMOTE, *_WITHOUT_OPENAI]}
"""What is compared with workers of each pool: the second only where threads might matter, and
without what takes a process seconds to import."""

LEFT_OUT = {
    # Succeeds only if it is called again, which a command can ask for.
    "own": {"sometimes"},
    # Large, and of no other kind than "large-spans".
    "traced": {"wordy"},
    # Tests that hold the cases of one process together: they count who is inside at a time.
    "official": {"stepped", "in pairs", "paused", "crowded", "based", "of a project"},
}
"""Evaluators that are not compared."""
