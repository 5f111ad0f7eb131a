"""The application whose cases run on Celery workers, and a bare Celery task to compare with."""

from __future__ import annotations

import os
import time
from typing import Any

from celery import Celery, Task
from flask import Flask
from kombu import Exchange, Queue

from flask_braintrust_evals import EvalHooks, EvalsBlueprint

NAP = 0.1
"""Seconds that a case of the evaluator ``nap`` takes."""
BARE_QUEUE = "bare"
evals_bp = EvalsBlueprint("evals", __name__)


@evals_bp.evaluator
def empty(input: Any) -> Any:
    return input


@evals_bp.evaluator
def nap(input: Any, hooks: EvalHooks) -> Any:
    hooks.report_progress({"event": "text_delta", "data": "z"})
    time.sleep(NAP)
    return input


def reply_queue(name: str) -> Queue:
    """Return the queue that a bare task replies to."""
    return Queue(name, Exchange(""), routing_key=name, durable=True, expires=60)


def create_app() -> Flask:
    app = Flask(__name__)
    app.config["SECRET_KEY"] = "only for this benchmark"
    app.config["BRAINTRUST_EVALS_AUTH"] = "none"
    app.config["BRAINTRUST_EVALS_EXECUTOR"] = os.environ.get("BENCH_EXECUTOR", "celery")
    app.config["BRAINTRUST_EVALS_WORKER_LEASE"] = 3

    class TaskInContext(Task):  # type: ignore[misc]
        def __call__(self, *args: Any, **options: Any) -> Any:
            with app.app_context():
                return super().__call__(*args, **options)

    celery = Celery("bench", task_cls=TaskInContext, broker=os.environ["BENCH_BROKER"])
    celery.conf.task_ignore_result = True
    app.extensions["celery"] = celery
    app.register_blueprint(evals_bp, url_prefix="/evals")

    @celery.task(name="bare", acks_late=True, ignore_result=True)  # type: ignore[untyped-decorator]
    def bare(order: str, reply_to: str) -> None:
        with celery.producer_pool.acquire(block=True) as producer:
            producer.publish([order], routing_key=reply_to, delivery_mode=1, serializer="json")

    return app


if "BENCH_WORKER" in os.environ:
    celery_app = create_app().extensions["celery"]
