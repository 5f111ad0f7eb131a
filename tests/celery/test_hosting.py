"""Which application runs the cases of a worker, and for how long it exists."""

from __future__ import annotations

import gc
import weakref
from types import SimpleNamespace

import pytest
from celery import Celery
from celery.app.utils import Settings
from flask import Flask

from flask_braintrust_evals import EvalsBlueprint
from flask_braintrust_evals.contrib.celery import hosting
from flask_braintrust_evals.contrib.celery.hosting import (
    SILENCE_SECONDS,
    EndIfRefused,
    survive_outages,
    why_no_worker,
    worker_of,
)


def new_application(celery_app: Celery, *, is_late: bool = False) -> weakref.ref[Flask]:
    """An application that nobody refers to; ``is_late``: it is told its Celery application last."""
    app = Flask("site")
    app.config.update(
        SECRET_KEY="s", BRAINTRUST_EVALS_EXECUTOR="celery", BRAINTRUST_EVALS_AUTH="none"
    )
    if not is_late:
        app.extensions["celery"] = celery_app
    app.register_blueprint(EvalsBlueprint("evals", __name__))
    app.extensions["celery"] = celery_app
    return weakref.ref(app)


def new_celery() -> Celery:
    return Celery("site", broker="memory://", set_as_current=False)


@pytest.mark.parametrize("is_late", [False, True])
def test_an_application_exists_for_as_long_as_its_celery_application(is_late: bool) -> None:
    celery_app = new_celery()
    app = new_application(celery_app, is_late=is_late)
    gc.collect()
    assert worker_of(celery_app) is not None
    celery_app.close()
    del celery_app
    gc.collect()
    assert app() is None


def test_of_many_applications_that_share_one_of_celery_the_last_is_kept() -> None:
    celery_app = new_celery()
    apps = [new_application(celery_app) for _ in range(5)]
    gc.collect()
    assert [app() is None for app in apps] == [True] * 4 + [False]


def test_workers_end_if_the_broker_refuses_something_from_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = Celery("site", broker="amqp://broker", set_as_current=False)
    survive_outages(app)
    assert EndIfRefused in app.steps["consumer"]
    consumer = SimpleNamespace(app=app, steps=[])
    for was_ready in (False, True):
        monkeypatch.setattr(hosting._state, "was_ready", was_ready)
        EndIfRefused(consumer).stop(consumer)
        assert app.conf.broker_channel_error_retry is was_ready


def test_that_nothing_runs_cases_has_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosting, "_hosts", weakref.WeakSet())
    monkeypatch.setattr(hosting, "_state", hosting._State())
    assert "BRAINTRUST_EVALS_EXECUTOR = 'celery'" in why_no_worker()
    celery_app, other = new_celery(), new_celery()
    app = new_application(celery_app)
    assert worker_of(other) is None
    assert "another Celery application at app.extensions['celery']" in why_no_worker()
    del celery_app
    gc.collect()
    assert app() is None
    assert "no longer exists: keep it in a variable" in why_no_worker()


def test_workers_survive_outages_unless_the_application_says_otherwise() -> None:
    def conf(broker: str, in_object: bool = False, **settings: object) -> Settings:
        app = Celery("site", broker=broker, set_as_current=False)
        if in_object:
            named = {f"CELERY_{name.upper()}": value for name, value in settings.items()}
            app.config_from_object(named, namespace="CELERY")
        else:
            app.conf.update(settings)
        survive_outages(app)
        return app.conf

    redis = conf("redis://broker", broker_transport_options={"socket_timeout": 9})
    assert redis.broker_transport_options == {**SILENCE_SECONDS, "socket_timeout": 9}
    assert not redis.broker_channel_error_retry
    assert conf("amqp://broker").broker_channel_error_retry
    for in_object in (False, True):
        set_off = conf("amqp://broker", in_object, broker_channel_error_retry=False)
        assert not set_off.broker_channel_error_retry
