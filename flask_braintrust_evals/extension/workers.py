"""Connects an application to its Celery workers, on the server's side and on the worker's."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

from flask import Flask

from flask_braintrust_evals.config.distribution import DistributionSettings
from flask_braintrust_evals.contrib.celery import task as _task  # noqa: F401, registers the task
from flask_braintrust_evals.contrib.celery.hosting import is_ending
from flask_braintrust_evals.contrib.celery.transport import CeleryTransport, runs_in_place
from flask_braintrust_evals.distribution.messaging.fingerprint import Fingerprints
from flask_braintrust_evals.distribution.messaging.messages import MessageWriter
from flask_braintrust_evals.distribution.owner.dispatcher import Dispatcher
from flask_braintrust_evals.distribution.worker.worker import CaseWorker
from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.errors import ConfigurationError
from flask_braintrust_evals.runs.host import Host
from flask_braintrust_evals.runs.remote import Distribution
from flask_braintrust_evals.runs.worker_cases import WorkerCases

T = TypeVar("T")


class Workers:
    """The connection of an application to its workers, and its part as a worker.

    Args:
        app: the application.
        settings: how cases are distributed.
        evaluators: returns the evaluators of the application.
        host: returns the application's part in the runs of a worker.

    Attributes:
        queue: the name of the queue that workers take cases from.
    """

    def __init__(
        self,
        app: Flask,
        settings: DistributionSettings,
        evaluators: Callable[[], Iterable[Evaluator]],
        host: Callable[[Flask], Host],
    ) -> None:
        self._app = weakref.ref(app)
        self.queue = settings.queue
        self._settings = settings
        self._evaluators = evaluators
        self._host = host
        self._distribution = _OfProcess(self._make_distribution)
        self._worker = _OfProcess(self._make_worker)

    @property
    def application(self) -> Flask | None:
        """The application; ``None``: it no longer exists."""
        return self._app()

    @property
    def celery_app(self) -> Any:
        """The application's Celery application; ``None``: it has none yet."""
        app = self._app()
        return None if app is None else app.extensions.get("celery")

    @property
    def dispatcher(self) -> Dispatcher:
        """What orders cases from the workers, and knows of them.

        Raises:
            ConfigurationError: the application has no Celery application.
        """
        self._connected()
        return self._distribution.get().dispatcher

    @property
    def distribution(self) -> Distribution | None:
        """The way to the workers; ``None``: Celery runs tasks where they are called."""
        celery_app = self._connected()
        return None if runs_in_place(celery_app) else self._distribution.get()

    @property
    def has_lost_broker(self) -> bool:
        """Whether this process has no connection to the broker, and needs one."""
        made = self._distribution.made
        return made is not None and not made.dispatcher.is_connected

    def ordered_cases(self) -> dict[str, int]:
        """Return how many cases are ordered from workers: ``waiting`` and ``running``."""
        made = self._distribution.made
        return {} if made is None else made.dispatcher.ordered_cases()

    def case_worker(self) -> CaseWorker:
        """Return what runs cases in this process."""
        return self._worker.get()

    def _connected(self) -> Any:
        celery_app = self.celery_app
        if celery_app is None:
            raise ConfigurationError(
                "BRAINTRUST_EVALS_EXECUTOR is 'celery', but the application has no Celery"
                " application at app.extensions['celery']: call celery_init_app(app), as Flask's"
                " documentation has it"
            )
        return celery_app

    def _transport(self) -> CeleryTransport:
        return CeleryTransport(self._connected(), self._settings.queue)

    def _writer(self) -> MessageWriter:
        settings = self._settings
        return MessageWriter(settings.secret, settings.max_message, settings.old_secrets)

    def _make_distribution(self) -> Distribution:
        settings = self._settings
        dispatcher = Dispatcher(self._transport(), self._writer(), settings.lease)
        weakref.finalize(self, dispatcher.stop)
        return Distribution(dispatcher, Fingerprints(settings.release), self._evaluators)

    def _make_worker(self) -> CaseWorker:
        app = self._app()
        assert app is not None
        settings, host = self._settings, self._host(app)
        return CaseWorker(
            self._transport(),
            self._writer(),
            self._evaluators,
            lambda order, evaluator, spans: WorkerCases(order, evaluator, host, spans),
            Fingerprints(settings.release),
            settings.lease,
            settings.release,
            is_ending,
        )


class _OfProcess(Generic[T]):
    """Something that each process makes for itself: a forked child does not use its parent's."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: T | None = None
        self._pid = 0

    @property
    def made(self) -> T | None:
        """What this process has made; ``None``: it has not."""
        return self._made if self._pid == os.getpid() else None

    def get(self) -> T:
        # Made here, in one step: the application may have been made before gevent's patch.
        lock: threading.Lock = vars(self).setdefault("_lock", threading.Lock())
        with lock:
            if self._made is None or self._pid != os.getpid():
                self._made, self._pid = self._make(), os.getpid()
            return self._made
