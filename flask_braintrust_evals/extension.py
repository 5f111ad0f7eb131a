"""The state that the extension keeps for one application, at ``app.extensions``."""

from __future__ import annotations

import logging
import os
import weakref
from collections.abc import Mapping

from flask import Flask, current_app

from .cloud.session_cache import SessionCache
from .config import Settings
from .contrib import braintrust_spans
from .engine.registry import Registry
from .runs.prepare import Host
from .tracing.processor import CaseSpanProcessor
from .web.run_slots import RunSlots

logger = logging.getLogger("flask_braintrust_evals")

EXTENSION_KEY = "braintrust_evals"


class EvalsExtension:
    """What all blueprints of one application share.

    Attributes:
        settings: the application's settings.
        registries: the evaluators of each of its blueprints.
        sessions: the sessions of recent callers.
        run_slots: counts the runs that are under way.
        span_processor: finds the application's own spans that belong to a run.
        sdk_spans: joins the ``braintrust`` SDK's tracing to that of a run, where it is installed.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.registries: list[Registry] = []
        self.sessions = SessionCache(settings.session_limit, settings.session_ttl)
        self.run_slots = RunSlots(settings.max_runs)
        self.span_processor = CaseSpanProcessor(settings.tracer_provider)
        self.sdk_spans = braintrust_spans()
        # With the application, or at the process's end, whichever comes first.
        weakref.finalize(self, self.sessions.close)

    def host(self, app: Flask) -> Host:
        """Return what the application brings to a run."""
        return Host(self.settings, self.span_processor, app.app_context, self.sdk_spans)


def init_app(app: Flask, environ: Mapping[str, str] = os.environ) -> EvalsExtension:
    """Set up the extension's state, unless the application has it already.

    Args:
        app: the application; its configuration must be complete.
        environ: the environment variables.

    Raises:
        ConfigurationError: a setting is wrong.
    """
    state = app.extensions.get(EXTENSION_KEY)
    if state is None:
        state = EvalsExtension(Settings.load(app.config, environ))
        app.extensions[EXTENSION_KEY] = state
        if state.settings.auth == "none":
            logger.warning(
                "BRAINTRUST_EVALS_AUTH is 'none': every process on this machine may run the"
                " evaluators; use it for local development only"
            )
    assert isinstance(state, EvalsExtension)
    return state


def current_extension() -> EvalsExtension:
    """Return the state of the current application: of a request, or of a command."""
    state = current_app.extensions[EXTENSION_KEY]
    assert isinstance(state, EvalsExtension)
    return state
