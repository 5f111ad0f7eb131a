"""The second argument of a task: what it may read, change and report about its case."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flask_braintrust_evals.engine.parameters.values import Parameters
from flask_braintrust_evals.engine.tracing.eval_span import EvalSpan
from flask_braintrust_evals.serialization.json_writing import dumps_parts
from flask_braintrust_evals.texts.safe_texts import clean_text

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
PROGRESS_FORMATS = ("code", "llm", "global", "graph", "topic_map", "simulation")
"""The formats of progress that Braintrust knows."""
PROGRESS_OUTPUT_TYPES = ("completion", "score", "classification", "facet", "any")
"""The types of output that Braintrust knows."""
_KNOWN = {
    "event": ("progress", PROGRESS_EVENTS),
    "format": ("code", PROGRESS_FORMATS),
    "output_type": ("completion", PROGRESS_OUTPUT_TYPES),
}
"""The defaults and the possible values of the fields of progress: the Playground drops others."""


class EvalHooks(dict[str, Any]):
    """A task's view of the case it runs on. Made per case and trial; may be used from any thread.

    As in the ``braintrust`` SDK it is also a ``dict``, with the items ``metadata``, ``tags``,
    ``trial_index`` and, where the case has one, ``expected``.

    Attributes:
        parameters: the run's parameters: a ``dict`` whose items are also attributes. It is the
            case's own copy.
        span: the span of the task. It takes ``log(...)`` and ``start_span(...)`` as in the
            ``braintrust`` SDK, and is an OpenTelemetry span as well.
        cancel_event: set when the run is cancelled: its client has disconnected, or its time is up.
            A task that takes long should look at it now and then.
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
        super().__init__(metadata=metadata, tags=list(tags), trial_index=trial_index)
        if expected is not None:
            self["expected"] = expected
        self.parameters = parameters
        self.span = span
        self.cancel_event = cancel_event
        self._report = report

    @property
    def expected(self) -> Any:
        """The case's expected output, or ``None``."""
        return self.get("expected")

    @property
    def trial_index(self) -> int:
        """The number of this repeat of the case, from 0."""
        index: int = self.get("trial_index", 0)
        return index

    @property
    def metadata(self) -> dict[str, Any]:
        """The case's metadata. The dict may be changed, or replaced by another."""
        metadata: dict[str, Any] = self["metadata"]
        return metadata

    @metadata.setter
    def metadata(self, metadata: Mapping[str, Any] | None) -> None:
        if metadata is not None and not isinstance(metadata, Mapping):
            raise TypeError(f"hooks.metadata must be a dict, not {metadata!r}")
        self["metadata"] = dict(metadata or {})

    @property
    def tags(self) -> list[str]:
        """The case's tags. The list may be changed, or replaced by another; ``None`` empties it."""
        tags: list[str] = self["tags"]
        return tags

    @tags.setter
    def tags(self, tags: Sequence[str] | None) -> None:
        if isinstance(tags, str):
            raise TypeError(f"hooks.tags must be a list of strings, not {tags!r}")
        self["tags"] = list(tags or ())

    def begin_again(
        self, metadata: dict[str, Any], tags: Sequence[str], parameters: Parameters
    ) -> None:
        """Take back what a call of the task has changed that failed, before the next one."""
        self["metadata"], self["tags"], self.parameters = metadata, list(tags), parameters

    def meta(self, **info: Any) -> None:
        """Add to the metadata. Deprecated in the ``braintrust`` SDK: change :attr:`metadata`."""
        warnings.warn(
            "hooks.meta() is deprecated; change hooks.metadata instead",
            DeprecationWarning,
            stacklevel=2,
        )
        self.metadata.update(info)

    def report_progress(self, event: Mapping[str, Any]) -> None:
        """Show progress in the case's cell while the task runs.

        Args:
            event: ``event`` (default ``"progress"``) is one of
                :data:`~flask_braintrust_evals.engine.running.cases.hooks.PROGRESS_EVENTS`;
                ``data`` is the text, or a value that is sent as JSON; ``format``
                (default ``"code"``) is one of
                :data:`~flask_braintrust_evals.engine.running.cases.hooks.PROGRESS_FORMATS`, and
                ``output_type`` (default ``"completion"``) one of
                :data:`~flask_braintrust_evals.engine.running.cases.hooks.PROGRESS_OUTPUT_TYPES`.

        Raises:
            TypeError: ``event`` is not a mapping.
            ValueError: one of these is none that the Playground knows.
        """
        if not isinstance(event, Mapping):
            raise TypeError(f"report_progress takes a dict with 'event' and 'data', not {event!r}")
        fields = {}
        for name, (default, known) in _KNOWN.items():
            fields[name] = event.get(name, default)
            if fields[name] not in known:
                raise ValueError(
                    f"report_progress: {name!r} is {fields[name]!r}, but must be one of"
                    f" {', '.join(known)}"
                )
        data = event.get("data", "")
        fields["data"] = clean_text(data) if isinstance(data, str) else dumps_parts(data)
        self._report(fields)


def left_by_task(hooks: EvalHooks) -> tuple[dict[str, Any], list[str]]:
    """Return the metadata and the tags of a case as its task left them, as attributes or items."""
    metadata, tags = hooks.get("metadata"), hooks.get("tags")
    return (
        # A plain dict is checked much faster than a mapping.
        dict(metadata) if isinstance(metadata, dict | Mapping) else {},
        [tags] if isinstance(tags, str) else [*(tags or ())],
    )
