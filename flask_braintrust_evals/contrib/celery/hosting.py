"""Finds the object that runs the cases of a Celery worker, and starts and ends its threads."""

from __future__ import annotations

import logging
import os
import weakref
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

import billiard.common
from celery import Celery, bootsteps, current_app, signals
from celery.utils.nodenames import default_nodename

from flask_braintrust_evals.distribution.messaging.messages import Message

logger = logging.getLogger("flask_braintrust_evals")

GREEN_POOLS = ("gevent", "eventlet")
DEATHS_SECONDS = 0.5
"""Seconds between two looks at whether processes of the pool have died: Celery's own is 5, where it
misses the moment of a death, which is often."""
SILENCE_SECONDS = {"socket_timeout": 5.0, "health_check_interval": 3.0}
"""How long Celery's own connections to Redis wait for an answer. By default they wait for ever: a
worker whose connection died without a sign would take no case until somebody restarts it."""


class CasePerformer(Protocol):
    """Runs cases in the processes of a worker."""

    def start(self, name: str, process: str, pool: str, slots: int) -> None:
        """Start the threads that it needs, if they do not run; see ``WorkerInfo``."""

    def stop(self) -> None:
        """End the threads."""

    def perform(self, message: Message, redelivered: bool, returns: int) -> None:
        """Run the cases of an order, and return when their results have reached the broker."""

    def lost(self, message: Message, reason: str) -> None:
        """Report that the process that had an order has died, or was not let run it."""


class WorkerHost(Protocol):
    """An application whose cases the workers of a Celery application run.

    Attributes:
        queue: the name of the queue of orders: workers that do not take from it start nothing.
    """

    queue: str

    @property
    def celery_app(self) -> Any:
        """The Celery application; ``None``: there is none yet."""

    @property
    def application(self) -> Any:
        """What is kept for as long as the Celery application; ``None``: it no longer exists."""

    def case_worker(self) -> CasePerformer:
        """Return what runs the cases, always the same in one process."""


@dataclass
class _State:
    worker: Any = None
    """The worker that this process belongs to, as Celery knows it."""
    was_ready: bool = False
    """Whether it has been ready to take tasks."""
    provided: int = 0
    """How often a host was provided."""
    latest: WorkerHost | None = None
    """The last host, until its Celery application is known."""
    latest_application: Any = None


_state = _State()
_hosts: weakref.WeakSet[WorkerHost] = weakref.WeakSet()


def provide_worker(host: WorkerHost) -> None:
    """Have the workers of a Celery application run cases.

    Its Celery application may be made later: before the worker starts. It keeps the application of
    the host then: Celery is often told its own application alone, and nothing else refers to the
    other one.
    """
    _hosts.add(host)
    _state.provided += 1
    _state.latest, _state.latest_application = host, host.application
    _keep_latest()


def worker_of(app: Celery) -> CasePerformer | None:
    """Return what runs the cases that the workers of a Celery application get, if anything does."""
    host = _host_of(app)
    return None if host is None else host.case_worker()


def why_no_worker() -> str:
    """Return why nothing runs the cases that a worker of Celery gets."""
    if len(_hosts):
        return (
            "the Flask application of this worker has another Celery application at"
            " app.extensions['celery'] than the worker was started with (-A)"
        )
    if _state.provided:
        return (
            "the Flask application of this worker no longer exists: keep it in a variable of the"
            " module that the worker is started with (-A)"
        )
    return (
        "no Flask application of this worker runs cases: it needs the same settings as that of the"
        " server, with BRAINTRUST_EVALS_EXECUTOR = 'celery', and must be made before the worker"
        " starts"
    )


def running_worker(app: Celery, hostname: str) -> CasePerformer | None:
    """Return the same, with its threads running. For processes that run tasks.

    Args:
        hostname: the name of the worker, such as ``celery@host``.
    """
    worker = worker_of(app)
    if worker is not None:
        # Where the signals below were sent, it is running.
        _start_threads(worker, hostname)
    return worker


def is_ending() -> bool:
    """Return whether this process of a pool was told to end by a signal.

    Billiard makes a ``SystemExit`` of the signal, wherever the process is. A task that calls
    ``sys.exit()`` raises the same, and does not end its process.
    """
    # Older versions have no function for that. Without either, such a task fails.
    has_fired = getattr(billiard.common, "terminate_handler_fired", None)
    if has_fired is not None:
        return bool(has_fired())
    return any(getattr(billiard.common, "_should_have_exited", ()))


def pool_of(worker: Any) -> str:
    """Return the name of a worker's pool, as the option ``-P`` has it."""
    module = getattr(worker.pool_cls, "__module__", str(worker.pool_cls))
    name = str(module.rpartition(".")[2].partition(":")[0])
    return "threads" if name == "thread" else name


def warnings_for(worker: Any) -> list[str]:
    """Return what is wrong with how a worker was started, as sentences for its log."""
    found = []
    if worker.prefetch_multiplier != 1 and not worker.app.conf.worker_disable_prefetch:
        found.append(
            f"this worker has --prefetch-multiplier {worker.prefetch_multiplier}: each of its"
            " processes holds cases back that others could run. Start it with"
            " --prefetch-multiplier 1"
        )
    if pool_of(worker) in GREEN_POOLS:
        found.append(
            f"this worker has the pool {pool_of(worker)}, which takes new cases seconds late. Start"
            " it with -P threads, which suits tasks that wait for models, or -P prefork"
        )
    return found


def survive_outages(app: Celery) -> None:
    """Have a worker notice that its connection is dead, and take cases again over another one.

    Redis has no heartbeats. RabbitMQ has them, and until they are late, it keeps the queue for the
    remote control of the worker locked: Celery would end the worker for that when it connects
    again.

    What the application has set itself stays.
    """
    driver = app.connection_for_read().transport.driver_type
    if driver == "redis":
        options = app.conf.broker_transport_options
        app.conf.broker_transport_options = {**SILENCE_SECONDS, **options}
    elif driver == "amqp":
        _retry_after_refusals(app, True)
        app.steps["consumer"].add(EndIfRefused)


class EndIfRefused(bootsteps.StartStopStep):  # type: ignore[misc]
    """Has Celery end a worker to which the broker refuses something from the start, as it does.

    Such a refusal lasts: of a queue that was declared with other arguments, or of a permission.
    """

    def stop(self, parent: Any) -> None:
        """Leave the worker one more attempt, if it connects again and was never ready."""
        _retry_after_refusals(parent.app, _state.was_ready)


def _retry_after_refusals(app: Celery, value: bool) -> None:
    # What Celery's add_defaults() adds goes before what the application has read from an object.
    app.conf.maps[-1]["broker_channel_error_retry"] = value


@signals.worker_init.connect  # type: ignore[untyped-decorator]
def _note_worker(sender: Any, **_: Any) -> None:
    _state.worker = sender
    if _takes_orders(sender.app):
        survive_outages(sender.app)


@signals.worker_process_init.connect  # type: ignore[untyped-decorator]
def _start_in_child(sender: Any = None, **_: Any) -> None:
    """Start threads in a process of the pool ``prefork``, or in that of a worker with ``solo``."""
    _start(str(sender or default_nodename(None)))


@signals.worker_ready.connect  # type: ignore[untyped-decorator]
def _start_in_worker(sender: Any, **_: Any) -> None:
    """Start threads in the process of a worker that runs tasks in itself, or look after its pool.

    Args:
        sender: the consumer of the worker.
    """
    worker = _state.worker
    if worker is None or not _takes_orders(worker.app):
        return
    _state.was_ready = True
    for warning in warnings_for(worker):
        logger.warning("%s", warning)
    if pool_of(worker) != "prefork":
        _start(worker.hostname)
    elif sender.hub is not None:
        sender.hub.call_repeatedly(DEATHS_SECONDS, sender.pool.maintain_pool)


@signals.worker_process_shutdown.connect  # type: ignore[untyped-decorator]
@signals.worker_shutdown.connect  # type: ignore[untyped-decorator]
def _stop(**_: Any) -> None:
    host = _host_of(_app())
    if host is not None:
        with suppress(Exception):
            host.case_worker().stop()


def _start(hostname: str) -> None:
    app = _app()
    if _takes_orders(app):
        try:
            running_worker(app, hostname)
        except Exception:
            logger.exception("this process of a Celery worker cannot run cases")


def _start_threads(performer: CasePerformer, hostname: str) -> None:
    worker = _state.worker
    name = hostname if worker is None else worker.hostname
    pool = "prefork" if worker is None else pool_of(worker)
    slots = 1 if pool in ("prefork", "solo") else int(worker.concurrency)
    performer.start(name, f"{name}/{os.getpid()}", pool, slots)


def _takes_orders(app: Celery) -> bool:
    host = _host_of(app)
    if host is None:
        return False
    # Known only where the worker was set up: a process that was not forked takes part anyway.
    return _state.worker is None or host.queue in app.amqp.queues.consume_from


def _app() -> Celery:
    """Return the Celery application that this process belongs to."""
    return current_app if _state.worker is None else _state.worker.app


def _keep_latest() -> None:
    """Have the Celery application of the last host, if there is one, keep what the host needs.

    Where many applications share one of Celery, as in tests, it keeps the last one.
    """
    celery_app = None if _state.latest is None else _state.latest.celery_app
    if celery_app is not None:
        celery_app.flask_braintrust_evals_application = _state.latest_application
        _state.latest = _state.latest_application = None


def _host_of(app: Celery) -> WorkerHost | None:
    _keep_latest()
    # Celery's current application is a proxy, which is equal to no other object.
    name = id(app._get_current_object() if hasattr(app, "_get_current_object") else app)
    return next((host for host in _hosts if id(host.celery_app) == name), None)
