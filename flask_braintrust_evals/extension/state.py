"""The state of the extension for one application, stored at ``app.extensions``."""

from __future__ import annotations

import itertools
import logging
import os
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from flask import Flask, Request, current_app, request

from flask_braintrust_evals.config.settings import Settings
from flask_braintrust_evals.engine.registry import Registry
from flask_braintrust_evals.errors import ConfigurationError
from flask_braintrust_evals.web.answers.unrouted import Unrouted

from .setting_mistakes import changed_settings, settings_in, unknown_settings
from .start_warnings import start_warnings

if TYPE_CHECKING:
    from .runtime import EvalsRuntime
    from .workers import Workers

logger = logging.getLogger("flask_braintrust_evals")

EXTENSION_KEY = "braintrust_evals"
OWN_ANSWER = "flask_braintrust_evals.answer"
"""The key in the WSGI environment of the answer to a request before the application changes it."""
UNANSWERED = "flask_braintrust_evals.run"
"""The key in the WSGI environment of the run of a request, to be closed if its answer is lost."""


class EvalsExtension:
    """The state that all blueprints of one application share.

    Args:
        settings: the application's settings.
        app: the application, from whose configuration they were read.

    Attributes:
        settings: the application's settings.
        registries: the registry of each blueprint.
        addresses: the name of the blueprint at each subdomain, host and prefix.
        endpoints: the names of the endpoints that the blueprints have by themselves.
        unrouted: answers what the application has no route for, below the blueprints' prefixes.
        workers: the workers that run cases; ``None``: they run in the process of the server.
    """

    def __init__(self, settings: Settings, app: Flask) -> None:
        self.settings = settings
        self._config: Mapping[str, Any] = app.config
        self._names = (app.import_name, app.root_path)
        self._read = settings_in(app.config)
        self.registries: list[Registry] = []
        self.addresses: dict[tuple[str | None, str | None, str], str] = {}
        self.endpoints: set[str] = set()
        self.unrouted = Unrouted()
        self.workers: Workers | None = None
        self._runtime: EvalsRuntime | None = None

    @property
    def runtime(self) -> EvalsRuntime:
        """The state that serving a run needs, which is imported and made at its first use."""
        if self._runtime is None:
            # Made here, in one step: the application may have been made before gevent's patch.
            lock: threading.Lock = vars(self).setdefault("_lock", threading.Lock())
            with lock:
                if self._runtime is None:
                    from .runtime import EvalsRuntime

                    for warning in changed_settings(self._read, self._config):
                        logger.warning(warning)
                    secret = self._config.get("SECRET_KEY")
                    self._runtime = EvalsRuntime(self.settings, self.workers, self._names, secret)
        return self._runtime


def init_app(app: Flask, environ: Mapping[str, str] = os.environ) -> EvalsExtension:
    """Return the extension's state for an application; create it at the first call.

    Args:
        app: the application; its configuration must be complete.
        environ: the environment variables.

    Raises:
        ConfigurationError: a setting is wrong, or needs a package that is not installed.
    """
    state = app.extensions.get(EXTENSION_KEY)
    if state is None:
        state = EvalsExtension(Settings.load(app.config, environ), app)
        if state.settings.distribution is not None:
            # Not at the top: they bring Celery.
            try:
                from flask_braintrust_evals.contrib.celery.hosting import provide_worker

                from .workers import Workers
            except ImportError as error:
                raise ConfigurationError(
                    "BRAINTRUST_EVALS_EXECUTOR is 'celery', which needs Celery: pip install"
                    f" 'flask-braintrust-evals[celery]' ({error})"
                ) from error

            state.workers = Workers(
                app,
                state.settings.distribution,
                lambda: itertools.chain.from_iterable(state.registries),
                lambda app: state.runtime.host(app, distributed=False),
            )
            provide_worker(state.workers)
        app.extensions[EXTENSION_KEY] = state
        unknown = unknown_settings(app.config, environ)
        for warning in (*start_warnings(app, state.settings), *unknown):
            logger.warning(warning)
    assert isinstance(state, EvalsExtension)
    return state


def current_extension() -> EvalsExtension:
    """Return the state of the current application, in a request or in a command."""
    state = current_app.extensions[EXTENSION_KEY]
    assert isinstance(state, EvalsExtension)
    return state


def current_request() -> Request:
    """Return the current request itself; Flask's ``request`` looks for it at each access."""
    proxy: Any = request
    found: Request = proxy._get_current_object()
    return found
