"""The state that serving runs needs: sessions, limits, and connections to tracing."""

from __future__ import annotations

import resource
import weakref
from typing import TYPE_CHECKING

from flask import Flask

from flask_braintrust_evals.cloud.sessions.session_cache import SessionCache
from flask_braintrust_evals.concurrency.places import Places
from flask_braintrust_evals.config.settings import Settings
from flask_braintrust_evals.contrib import (
    braintrust_attachments,
    braintrust_customizer,
    braintrust_spans,
    join_braintrust_when_imported,
)
from flask_braintrust_evals.runs.host import Host
from flask_braintrust_evals.runs.peers.run_peers import Application
from flask_braintrust_evals.tracing.processor import process_processor
from flask_braintrust_evals.web.access.run_slots import RunSlots
from flask_braintrust_evals.web.monitoring.metrics import ServerMetrics
from flask_braintrust_evals.web.monitoring.run_control import RunControl
from flask_braintrust_evals.web.monitoring.run_observer import RunObserver, RunObservers
from flask_braintrust_evals.web.monitoring.webhook import Webhook

if TYPE_CHECKING:
    from .workers import Workers

_MAX_CONNECTIONS = 10_000
"""Connections for calls of scorers, where the system allows more files than that."""


class EvalsRuntime:
    """The state of serving, which all blueprints of one application share.

    Args:
        settings: the application's settings.
        workers: the workers that run cases; ``None``: there are none.
        names: the application's import name and root path.
        secret: its ``SECRET_KEY``, if it has one.

    Attributes:
        sessions: the sessions of recent callers.
        runs: the runs that are under way, for those who may see them.
        run_slots: limits how many runs are under way, in all and of each caller.
        places: limits how many cases of all runs are under way.
        call_places: limits how many calls of scorers in Braintrust are, each with a connection.
        observer: takes note of what ends.
    """

    def __init__(
        self,
        settings: Settings,
        workers: Workers | None,
        names: tuple[str, str],
        secret: str | bytes | None,
    ) -> None:
        self.sessions = SessionCache(settings.session_limit, settings.session_ttl)
        self.runs = RunControl(Application.of(names, secret, settings), settings)
        self.run_slots = RunSlots(settings)
        self.places = Places(settings.max_running_cases)
        self.call_places = Places(_connections())
        watching: list[RunObserver] = [ServerMetrics(self)]
        if settings.webhook is not None:
            watching.append(Webhook(settings.webhook))
        self.observer = RunObservers(watching)
        self._settings = settings
        self._workers = workers
        self._span_processor = process_processor(settings.tracer_provider)
        self._sdk_attachments = braintrust_attachments()
        join_braintrust_when_imported()
        # Called when the application is deleted, or else when the process ends.
        weakref.finalize(self, self.sessions.close)

    def counts(self) -> dict[tuple[str, str], int]:
        """Return what is under way; see :class:`Gauges`."""
        found = {
            ("braintrust_evals.run.active", ""): self.run_slots.runs.taken,
            ("braintrust_evals.case.active", ""): self.places.taken,
            ("braintrust_evals.session.active", ""): len(self.sessions),
        }
        if self._workers is not None:
            for state, count in self._workers.ordered_cases().items():
                found["braintrust_evals.case.ordered", state] = count
        return found

    def host(self, app: Flask, distributed: bool = True) -> Host:
        """Return the application's part in a run.

        Args:
            app: the application.
            distributed: whether the run may have its cases run by workers, if there are any.

        Raises:
            ConfigurationError: cases are to run on workers, and the application has no Celery.
        """
        workers = self._workers if distributed else None
        return Host(
            self._settings,
            self._span_processor,
            app.app_context,
            self.places,
            self.call_places,
            braintrust_spans,
            self._sdk_attachments,
            braintrust_customizer,
            None if workers is None else workers.distribution,
        )


def _connections() -> int:
    """Return how many connections the calls of scorers may have at a time.

    A process that has as many open files as it may have takes no more requests.
    """
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return _MAX_CONNECTIONS
    return max(1, min(files // 3, _MAX_CONNECTIONS))
