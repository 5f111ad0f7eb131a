"""Adds up the tokens and the cost that the spans of a case report, so that none counts twice.

A call of a language model may be reported by several spans: by its own, and once more by the spans
of the agents and chains above it, which have the sums of what is below them. Where both a span and
the spans below it have a number, the larger one is counted: a sum that is repeated is then counted
once, and a sum that also covers calls without spans of their own is not lost.

Costs are those that spans have. None is calculated here, since prices are not known.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext

from . import semconv

Usage = dict[str, float]
"""Numbers of tokens, and a cost in dollars, by the names of the ``braintrust`` SDK's metrics."""

MAX_OPEN = 10_000
"""Spans that have not ended, and for which something is remembered, at most per case."""
TOTAL = "tokens"
COST = "estimated_cost"

# https://github.com/open-telemetry/semantic-conventions-genai, and the names before them;
# https://github.com/Arize-ai/openinference
_ATTRIBUTES = {
    "gen_ai.usage.input_tokens": "prompt_tokens",
    "gen_ai.usage.prompt_tokens": "prompt_tokens",
    "gen_ai.usage.output_tokens": "completion_tokens",
    "gen_ai.usage.completion_tokens": "completion_tokens",
    "gen_ai.usage.total_tokens": TOTAL,
    "gen_ai.usage.cache_read.input_tokens": "prompt_cached_tokens",
    "gen_ai.usage.cache_read_input_tokens": "prompt_cached_tokens",
    "gen_ai.usage.cache_creation.input_tokens": "prompt_cache_creation_tokens",
    "gen_ai.usage.cache_creation_input_tokens": "prompt_cache_creation_tokens",
    "gen_ai.usage.reasoning.output_tokens": "completion_reasoning_tokens",
    "gen_ai.usage.cost": COST,
    "llm.token_count.prompt": "prompt_tokens",
    "llm.token_count.completion": "completion_tokens",
    "llm.token_count.total": TOTAL,
    "llm.token_count.prompt_details.cache_read": "prompt_cached_tokens",
    "llm.token_count.prompt_details.cache_write": "prompt_cache_creation_tokens",
    "llm.token_count.completion_details.reasoning": "completion_reasoning_tokens",
    "llm.cost.total": COST,
}
"""The metrics that attributes of these conventions stand for. Of two attributes for the same
metric, the first one is used."""
_SOURCES = frozenset({semconv.METRICS, *_ATTRIBUTES})
_REST = 0
"""Stands for a span that is not known. No span has this id."""


@dataclass(slots=True)  # not frozen, although nothing changes it: making it is quicker so
class CaseUsage:
    """The usage of one case.

    Attributes:
        task: that of the task, and of whatever is not known to belong to a scorer.
        scorers: that of all scorers and classifiers together.
    """

    task: Usage = field(default_factory=dict)
    scorers: Usage = field(default_factory=dict)


class UsageTree:
    """Adds up the usage of a case's spans as they end. Not thread-safe.

    A span usually ends before the one above it. So only what is below spans that have not ended is
    kept, and not the spans themselves.
    """

    def __init__(self) -> None:
        self._below: dict[int, CaseUsage] = {}

    def add(self, span: ReadableSpan, own: Usage) -> None:
        """Add a span that has ended, with its own usage, which may be empty."""
        below = self._below.pop(span.context.span_id, None)
        if below is None and not own:
            return
        below = below or CaseUsage()
        above = self._above(span)
        if _is_of_scorer(span):
            add_usage(below.task, below.scorers)
            add_usage(above.scorers, _larger(own, below.task))
        else:
            add_usage(above.task, _larger(own, below.task))
            add_usage(above.scorers, below.scorers)

    def below(self, span_id: int) -> CaseUsage:
        """Return the usage of what has ended below a span that has not."""
        return self._below.get(span_id) or CaseUsage()

    def total(self) -> CaseUsage:
        """Return the usage of everything that has ended.

        This includes spans that ended after the span above them, or whose span above is not known.
        """
        total = CaseUsage()
        for below in self._below.values():
            add_usage(total.task, below.task)
            add_usage(total.scorers, below.scorers)
        return total

    def _above(self, span: ReadableSpan) -> CaseUsage:
        span_id = _REST if span.parent is None else span.parent.span_id
        if span_id not in self._below and len(self._below) >= MAX_OPEN:
            span_id = _REST
        return self._below.setdefault(span_id, CaseUsage())


class UsageByCase(dict[int, UsageTree]):
    """The usage of those cases that have any, by their trace ids. Not thread-safe."""

    def add(self, span: ReadableSpan, own: Usage) -> None:
        """Add a span that has ended, with its own usage, which may be empty."""
        trace_id = span.context.trace_id
        tree = self.get(trace_id)
        if tree is None:
            if not own:
                return
            tree = self[trace_id] = UsageTree()
        tree.add(span, own)

    def of(self, root: SpanContext, ended: bool) -> CaseUsage:
        """Return the usage of a running case.

        Args:
            root: the case's root span, which has not ended.
            ended: whether all else of the case has ended. If not, calls of scorers that are still
                running are left out.
        """
        tree = self.get(root.trace_id)
        if tree is None:
            return CaseUsage()
        return tree.total() if ended else tree.below(root.span_id)


def usage_of(attributes: Mapping[str, Any] | None) -> Usage:
    """Return the tokens and the cost that the attributes of a span tell.

    The metrics of the ``braintrust`` SDK have priority over other attributes. The sum
    ``tokens`` is added where only its two parts are there.
    """
    if not attributes or _SOURCES.isdisjoint(attributes):  # most spans, quickly
        return {}
    found: Usage = {}
    for name, value in _logged(attributes.get(semconv.METRICS)).items():
        if _is_summed(name) and _is_amount(value):
            found[name] = value
    for attribute, name in _ATTRIBUTES.items():
        amount: Any = attributes.get(attribute)
        if name not in found and _is_amount(amount):
            found[name] = amount
    if TOTAL not in found and {"prompt_tokens", "completion_tokens"} <= found.keys():
        found[TOTAL] = found["prompt_tokens"] + found["completion_tokens"]
    return found


def add_usage(total: Usage, more: Usage) -> None:
    """Add ``more`` to ``total``."""
    for name, value in more.items():
        total[name] = total.get(name, 0) + value


def _larger(one: Usage, other: Usage) -> Usage:
    if not one or not other:
        return one or other
    return {name: max(one.get(name, 0), other.get(name, 0)) for name in {**one, **other}}


def _is_summed(name: Any) -> bool:
    """Return whether a metric is one that can be added up, unlike times and rates."""
    return name in (TOTAL, COST) or (isinstance(name, str) and name.endswith("_tokens"))


def _is_amount(value: Any) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and 0 <= value < math.inf  # not NaN, either
    )


def _is_of_scorer(span: ReadableSpan) -> bool:
    kind = _logged((span.attributes or {}).get(semconv.SPAN_ATTRIBUTES))
    return kind.get("purpose") == "scorer"


def _logged(text: Any) -> dict[str, Any]:
    """Return the object that an attribute holds as JSON; empty: it holds none."""
    if not isinstance(text, str):
        return {}
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}
