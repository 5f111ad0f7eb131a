"""What the application (:class:`Host`) and the user (:class:`Requester`) give to a run."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

from flask_braintrust_evals.cloud.sessions.user_session import UserSession
from flask_braintrust_evals.cloud.tracing.outgoing import Customize
from flask_braintrust_evals.concurrency.places import Places
from flask_braintrust_evals.config.settings import Settings
from flask_braintrust_evals.engine.calls.plan import CasePlan
from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.tracing.eval_span import EvalSpan
from flask_braintrust_evals.errors import RunError
from flask_braintrust_evals.tracing.collector import SpanCollector
from flask_braintrust_evals.tracing.processor import CaseSpanProcessor
from flask_braintrust_evals.tracing.span_keeper import SpanKeeper

from .remote import Distribution
from .sources.data import WithAttachments


@dataclass(frozen=True)
class Host:
    """The application's part in every run.

    Attributes:
        settings: the settings of the application.
        span_processor: adds the spans of the application's own tracers to a run.
        scope: entered around each case, such as the application's context.
        places: limits the cases at a time of all runs of requests.
        call_places: limits the calls of scorers in Braintrust, likewise.
        sdk_spans: see :func:`flask_braintrust_evals.contrib.braintrust_spans`.
        sdk_attachments: see :func:`flask_braintrust_evals.contrib.braintrust_attachments`.
        sdk_customizer: see :func:`flask_braintrust_evals.contrib.braintrust_customizer`.
        distribution: the way to workers on other machines; ``None``: cases run in this process.
    """

    settings: Settings
    span_processor: CaseSpanProcessor
    scope: Callable[[], AbstractContextManager[Any]]
    places: Places | None = None
    call_places: Places | None = None
    sdk_spans: Callable[[], type[EvalSpan] | None] = lambda: None
    sdk_attachments: WithAttachments | None = None
    sdk_customizer: Callable[[], Customize | None] = lambda: None
    distribution: Distribution | None = None

    def plan_of(self, evaluator: Evaluator, retries: int | None) -> CasePlan:
        """Return the plan of an evaluator with what the settings, and a run's retries, change."""
        plan = evaluator.plan
        if self.settings.blocking:
            plan = replace(plan, blocking=True)
        return plan if retries is None else replace(plan, retries=retries)

    def spans_in_memory(self, keeper: SpanKeeper) -> SpanCollector:
        """Return what collects the spans of a run that nobody records, for ``keeper``."""
        self.span_processor.attach()
        return SpanCollector(
            self.span_processor, deliver=lambda spans: None, max_late_cases=0, keeper=keeper
        )


@dataclass(frozen=True)
class Requester:
    """The user that a run is for.

    Attributes:
        session: the user's session; ``None``: the run acts without Braintrust.
        project_id: the project that a header of the request names; one in the specification has
            priority.
        recorded: if false, nothing is recorded in Braintrust, even with a session.
        limited: whether the limits of the evaluator and of the settings bind the run; false for
            users who may change both.
        wants_usage: whether the consumer of the run wants tokens and cost also if it is not
            recorded.
        wants_outputs: whether the consumer of the run reads the outputs of cases in their results;
            it gets them as JSON when tasks end.
        wants_spans: whether the client of the run wants the spans of each case.
        end_reason: returns why nobody waits for the run any more, such as that the client has
            disconnected, or ``None``; ``None`` itself: the user waits for the run.
        distributed: whether cases may run on other machines, if application and evaluator let them.
    """

    session: UserSession | None
    project_id: str | None = None
    recorded: bool = True
    limited: bool = True
    wants_usage: bool = False
    wants_outputs: bool = True
    wants_spans: bool = False
    end_reason: Callable[[], RunError | None] | None = None
    distributed: bool = True
