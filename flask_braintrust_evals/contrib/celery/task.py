"""The Celery task that runs cases, and what of it Celery may log or show."""

from __future__ import annotations

import logging
from typing import Any

from billiard.einfo import ExceptionWithTraceback
from celery import Task, shared_task
from celery.exceptions import (
    SoftTimeLimitExceeded,
    Terminated,
    TimeLimitExceeded,
    WorkerLostError,
)
from celery.worker.request import Request

from flask_braintrust_evals.distribution.messaging.messages import Message

from .hosting import running_worker, why_no_worker, worker_of
from .sending import TASK, returns_of

logger = logging.getLogger("flask_braintrust_evals")


class CaseRequest(Request):  # type: ignore[misc]
    """An order in the process of a worker that hands it to the pool, and learns what became of it.

    Celery would show its arguments in ``inspect active``, and in lines of its log at level DEBUG.
    """

    def __init__(self, message: Any, **options: Any) -> None:
        super().__init__(message, **options)
        # The process that runs the task reads them from the body: here they are a second copy.
        self._request_dict["args"] = ()
        self._has_reported = False
        acknowledge_again(message)

    def info(self, safe: bool = False) -> Any:
        """Describe the order, without its arguments; see :meth:`Request.info`."""
        return super().info(safe=True)

    def revoked(self) -> Any:
        """Return whether the order was revoked or has expired, and report it as lost if so."""
        is_revoked = super().revoked()
        if is_revoked:
            self._report("it was revoked in Celery, or has expired there")
        return is_revoked

    def on_timeout(self, soft: bool, timeout: float) -> None:
        """Note that a time limit of Celery is reached; see :meth:`Request.on_timeout`."""
        try:
            super().on_timeout(soft, timeout)
        finally:
            if not soft:
                self._report(_reason(TimeLimitExceeded(timeout)))

    def on_failure(self, exc_info: Any, *args: Any, **options: Any) -> Any:
        """Note that the process that ran the order has ended; see :meth:`Request.on_failure`."""
        reason = _reason(exc_info.exception)
        try:
            return super().on_failure(exc_info, *args, **options)
        finally:
            self._report(reason)

    def _report(self, reason: str) -> None:
        if self._has_reported:
            return
        self._has_reported = True
        worker = worker_of(self._app)
        message = _message_of(self._args)
        if worker is not None and message is not None:
            # Not in a thread: this process starts others by forking, which threads do not survive.
            worker.lost(message, reason)


def acknowledge_again(message: Any) -> None:
    """Have a message acknowledged over another connection if the first one is dead.

    Celery logs such a failure. With Redis, Kombu then takes the message to be under way for ever,
    and the worker would have one slot less until it is restarted.

    Where the worker has closed that connection meanwhile, the message stays unacknowledged.
    """
    acknowledge = message.ack

    def ack(**options: Any) -> None:
        try:
            acknowledge(**options)
        except Exception:  # the clients of brokers raise many kinds
            try:
                acknowledge(**options)
            except AttributeError:
                # A closed channel knows no address. Celery would end the whole worker for that.
                logger.warning(
                    "an order could not be acknowledged, because the connection that it came over"
                    " is closed; the broker delivers it again, and its cases count once"
                )

    message.ack = ack


class CaseTask(Task):  # type: ignore[misc]
    """The class of the task, which no setting for the application's own tasks changes."""

    Request = CaseRequest

    @classmethod
    def annotate(cls) -> None:
        """Do not take over ``task_annotations``, such as those for all tasks."""


@shared_task(
    name=TASK,
    base=CaseTask,
    bind=True,
    # Each is said, because the application may have set another default for its own tasks.
    acks_late=True,
    acks_on_failure_or_timeout=True,
    acks_on_failure=True,
    acks_on_timeout=True,
    # Otherwise the broker would deliver a case that kills its process again, and for ever.
    reject_on_worker_lost=False,
    retry_on_worker_lost=False,
    ignore_result=True,
    store_errors_even_if_ignored=False,
    track_started=False,
    rate_limit=0,
    serializer="json",
)  # type: ignore[untyped-decorator]
def run_case(task: Any, *order: Any) -> None:
    """Run the cases of an order."""
    worker = running_worker(task.app, str(task.request.hostname))
    if worker is None:
        raise RuntimeError(why_no_worker())
    message = _message_of(order)
    if message is None:
        logger.error("an order is ignored: it must have a text and a signature")
        return
    redelivered = bool((task.request.delivery_info or {}).get("redelivered"))
    try:
        worker.perform(message, redelivered, returns_of(task.request))
    except SoftTimeLimitExceeded as error:
        worker.lost(message, _reason(error))
    except Exception as error:
        # Not raised: Celery would hand it, with the arguments, to whoever listens.
        logger.exception("the cases of an order could not be run")
        worker.lost(message, f"the worker failed: {type(error).__name__}")


def _message_of(order: Any) -> Message | None:
    if len(order) == 2 and all(isinstance(part, str) for part in order):
        return Message(*order)
    return None


def _reason(error: Any) -> str:
    """Return why a case was lost, as the continuation of "the case was lost: ..."."""
    if isinstance(error, ExceptionWithTraceback):
        error = error.exc
    if isinstance(error, TimeLimitExceeded):
        return f"it was ended by Celery's task_time_limit of {error.args[0]} seconds"
    if isinstance(error, SoftTimeLimitExceeded):
        return "it was ended by Celery's task_soft_time_limit"
    if isinstance(error, Terminated):
        return "its process was terminated through Celery"
    if isinstance(error, WorkerLostError | SystemExit | KeyboardInterrupt):
        return "the process that ran it has died"
    return f"the worker failed: {type(error).__name__}"
