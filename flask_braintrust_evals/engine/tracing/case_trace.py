"""The ``trace`` argument of scorers: the spans of their case, from memory."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from opentelemetry.sdk.trace import ReadableSpan

from .span_data import SpanData
from .span_filters import span_filter

T = TypeVar("T")

_OBJECT_TYPES = {
    "experiment_id": "experiment",
    "playground_id": "playground_logs",
    "project_id": "project_logs",
}


class Ready(list[T], Coroutine[Any, Any, Any], Generic[T]):
    """A list that may also be awaited; the result is the list itself.

    In the ``braintrust`` SDK, the methods of a trace are coroutines. Scorers that are not ``async``
    cannot await. Those that are written for the SDK pass them to functions of asyncio, and so does
    autoevals.
    """

    __hash__ = object.__hash__  # type: ignore[assignment]

    def __await__(self) -> Generator[Any, None, Ready[T]]:
        yield from ()
        return self

    def send(self, value: Any) -> Any:
        """End at once, with the list as the result."""
        raise StopIteration(self)

    def throw(self, kind: Any, error: Any = None, trace: Any = None) -> Any:
        """Raise what an event loop passes on, such as a cancellation."""
        raise kind if error is None else error

    def close(self) -> None:
        """Do nothing: there is nothing to end."""


class CaseTrace(dict[str, Any]):
    """The spans of a case that have ended: that of its task, and those below it.

    It has the interface of the ``braintrust`` SDK's trace, also as JSON:
    ``{"trace_ref": {"object_type", "object_id", "root_span_id"}}``. The results of its methods may
    be used at once, or awaited in ``async`` scorers.

    Args:
        finished: returns the spans.
        parent: the value of ``braintrust.parent`` of the case's spans; ``None``: they are not
            recorded in Braintrust.
        trace_id: the id of the case's trace, 32 hex digits.
        metrics: returns the metrics of the task.
    """

    def __init__(
        self,
        finished: Callable[[], Sequence[ReadableSpan]],
        parent: str | None,
        trace_id: str,
        metrics: Callable[[], dict[str, float]] = dict,
    ) -> None:
        kind, _, object_id = (parent or "").partition(":")
        reference = {
            "object_type": _OBJECT_TYPES.get(kind, "experiment"),
            "object_id": object_id,
            "root_span_id": trace_id,
        }
        super().__init__(trace_ref=reference)
        self._finished = finished
        self._metrics = metrics

    def get_configuration(self) -> dict[str, str]:
        """Return where the trace is recorded: ``object_type``, ``object_id``, ``root_span_id``.

        The ``object_id`` is empty where the case is not recorded in Braintrust.
        """
        return dict(self["trace_ref"])

    def get_metrics(self) -> dict[str, float]:
        """Return how long the task took, and the tokens and the cost that its spans tell.

        ``duration`` is in seconds. ``prompt_tokens``, ``completion_tokens``, ``tokens`` and others,
        and ``estimated_cost`` in dollars, are there if spans have them; calls that several spans
        report are counted once. What scorers use is not included.
        """
        return self._metrics()

    def get_spans(
        self,
        span_type: Iterable[str] | str | None = None,
        *,
        filters: Mapping[str, Any] | None = None,
        include_scorers: bool = False,
    ) -> Ready[SpanData]:
        """Return finished spans, in the order of their ends.

        Args:
            span_type: only spans of these types (``"task"``, ``"llm"``, ``"tool"`` …).
            filters: any of ``span_type`` and ``name`` (lists, of which a span must have one; an
                empty list matches none), ``has_error`` (a bool), ``metadata`` (entries at any
                depth, compared without conversion; ``None`` also matches absent ones) and
                ``duration`` (``min`` and ``max``, in seconds, inclusive).
            include_scorers: also those of scorers and classifiers that have ended. The others of
                the same case run at the same time, and have not.

        Raises:
            ValueError: a filter is not of its form.
        """
        matches = span_filter(span_type, filters)
        spans = (SpanData.of(span) for span in self._finished())
        return Ready(
            span
            for span in spans
            if matches(span)
            and (include_scorers or span.span_attributes.get("purpose") != "scorer")
        )

    def get_thread(self, options: Mapping[str, Any] | None = None) -> Ready[Any]:
        """Return the messages to and from language models, in the order of the calls.

        A model usually gets the whole conversation so far: the messages at the beginning of a call
        that earlier calls had are left out.

        Args:
            options: accepted for the SDK's sake. Its ``preprocessor`` names a function that runs in
                Braintrust; here the messages are always read from the spans themselves.
        """
        thread: list[Any] = []
        spans = sorted(self.get_spans("llm"), key=lambda span: span.metrics["start"])
        for span in spans:
            given = _messages(span.input)
            known = 0
            while known < min(len(given), len(thread)) and given[known] == thread[known]:
                known += 1
            thread += given[known:]
            thread += _messages(span.output)
        return Ready(thread)


def _messages(value: Any) -> list[Any]:
    if isinstance(value, dict) and isinstance(value.get("messages"), list):
        return list(value["messages"])
    if isinstance(value, dict) and isinstance(value.get("choices"), list):
        return [choice.get("message", choice) for choice in value["choices"]]
    if value is None:
        return []
    if isinstance(value, list):
        return [
            each["message"] if isinstance(each, dict) and "message" in each else each
            for each in value
        ]
    return [value]
