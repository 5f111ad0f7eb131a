"""The interface between a run and the place where its cases run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from flask_braintrust_evals.engine.values.attachments import AttachmentStore
from flask_braintrust_evals.engine.values.cases import EvalCase
from flask_braintrust_evals.engine.values.events import Event
from flask_braintrust_evals.tracing.span_ids import SpanIds

Emit = Callable[[Event], None]
"""Adds an event to a run. Raises ``ChannelClosedError`` once the run has ended."""


@dataclass(slots=True)  # not frozen: see Event
class CaseJob:
    """One trial of one case, to be run.

    Attributes:
        case: the case.
        index: its place in the data, from 0.
        trial_index: which repeat of the case this is, from 0.
        ids: the ids of its ``eval`` span; ``None``: the tracer chooses them.
        size: see :func:`.size_if_large`.
        store: takes the large attachments in its values; ``None``: that of the executor does.
    """

    case: EvalCase
    index: int
    trial_index: int
    ids: SpanIds | None = None
    size: int = 0
    store: AttachmentStore | None = None


class CaseExecutor(Protocol):
    """Runs the cases of one run. Its methods may be called from several threads at a time."""

    def run(self, job: CaseJob, emit: Emit) -> None:
        """Run one case and return when it is done.

        Args:
            job: the case.
            emit: called with :class:`CaseStarted`, any number of :class:`CaseProgress`,
                :class:`TaskFinished` and :class:`CaseFinished`, in this order. A failing task or
                scorer is part of the result.

        Raises:
            ChannelClosedError: ``emit`` raised it; the case is over.
        """

    def cancel(self) -> None:
        """Cancel what is running. May be called again."""
