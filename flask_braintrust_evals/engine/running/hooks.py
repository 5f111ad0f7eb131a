"""The second argument of a task: what it may read, change and report about its case."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flask_braintrust_evals.engine.parameters.values import Parameters
from flask_braintrust_evals.engine.tracing.eval_span import EvalSpan
from flask_braintrust_evals.serialization import clean_text, dumps

PROGRESS_EVENTS = (
    "text_delta",
    "reasoning_delta",
    "json_delta",
    "error",
    "console",
    "start",
    "done",
    "progress",
)
"""The kinds of progress that the Playground knows."""


class EvalHooks:
    """A task's view of the case it runs on. Made per case and trial; may be used from any thread.

    Attributes:
        expected: the case's expected output, or ``None``.
        parameters: the run's parameters; a mapping whose items are also attributes.
        trial_index: which repeat of the case this is, from 0.
        span: the span of the task. It takes ``log(...)`` and ``start_span(...)`` as in the
            ``braintrust`` SDK, and is an OpenTelemetry span as well.
        cancel_event: set when the run is cancelled: its client has left, or its time is up. A task
            that takes long should look at it now and then.
    """

    def __init__(
        self,
        *,
        expected: Any,
        metadata: dict[str, Any],
        tags: Sequence[str],
        parameters: Parameters,
        trial_index: int,
        span: EvalSpan,
        cancel_event: threading.Event,
        report: Callable[[Mapping[str, str]], None],
    ) -> None:
        self.expected = expected
        self.parameters = parameters
        self.trial_index = trial_index
        self.span = span
        self.cancel_event = cancel_event
        self._metadata = metadata
        self._tags = list(tags)
        self._report = report

    @property
    def metadata(self) -> dict[str, Any]:
        """The case's metadata. The dict may be changed, or replaced by another."""
        return self._metadata

    @metadata.setter
    def metadata(self, metadata: Mapping[str, Any] | None) -> None:
        if metadata is not None and not isinstance(metadata, Mapping):
            raise TypeError(f"hooks.metadata must be a dict, not {metadata!r}")
        self._metadata = dict(metadata or {})

    @property
    def tags(self) -> list[str]:
        """The case's tags. The list may be changed, or replaced by another; ``None`` empties it."""
        return self._tags

    @tags.setter
    def tags(self, tags: Sequence[str] | None) -> None:
        if isinstance(tags, str):
            raise TypeError(f"hooks.tags must be a list of strings, not {tags!r}")
        self._tags = list(tags or ())

    def meta(self, **info: Any) -> None:
        """Add to the metadata. Deprecated in the ``braintrust`` SDK: change :attr:`metadata`."""
        warnings.warn(
            "hooks.meta() is deprecated; change hooks.metadata instead",
            DeprecationWarning,
            stacklevel=2,
        )
        self._metadata.update(info)

    def report_progress(self, event: Mapping[str, Any]) -> None:
        """Show progress in the case's cell while the task runs.

        Args:
            event: ``event`` is one of :data:`PROGRESS_EVENTS`; ``data`` is the text, or a value
                that is sent as JSON; ``format`` (default ``"code"``) and ``output_type`` (default
                ``"completion"``) are as in the ``braintrust`` SDK.

        Raises:
            TypeError: ``event`` is not a mapping.
            ValueError: it is of no kind that the Playground knows.
        """
        if not isinstance(event, Mapping):
            raise TypeError(f"report_progress takes a dict with 'event' and 'data', not {event!r}")
        kind = event.get("event", "progress")
        if kind not in PROGRESS_EVENTS:
            raise ValueError(
                f"report_progress: 'event' is {kind!r}, but must be one of"
                f" {', '.join(PROGRESS_EVENTS)}"
            )
        data = event.get("data", "")
        self._report(
            {
                "format": str(event.get("format", "code")),
                "output_type": str(event.get("output_type", "completion")),
                "event": kind,
                "data": clean_text(data) if isinstance(data, str) else dumps(data),
            }
        )
