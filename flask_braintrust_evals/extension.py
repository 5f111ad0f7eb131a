"""The state of the extension for one application, stored at ``app.extensions``."""

from __future__ import annotations

import logging
import os
import weakref
from collections.abc import Mapping

from flask import Flask, current_app

from .cloud.session_cache import SessionCache
from .concurrency.places import Places
from .config import Settings
from .contrib import braintrust_attachments, braintrust_spans
from .engine.registry import Registry
from .runs.prepare import Host
from .tracing.processor import CaseSpanProcessor
from .web.run_slots import RunSlots
from .web.start_warnings import start_warnings

logger = logging.getLogger("flask_braintrust_evals")

EXTENSION_KEY = "braintrust_evals"


class EvalsExtension:
    """The state that all blueprints of one application share.

    Attributes:
        settings: the application's settings.
        registries: the registry of each blueprint.
        sessions: the sessions of recent callers.
        run_slots: limits how many runs are under way, in all and of each caller.
        places: limits how many cases of all runs are under way.
        span_processor: adds the spans of the application's own tracers to the runs they belong to.
        sdk_attachments: puts the SDK's attachments into the rows of datasets; ``None``: likewise.
        sdk_spans: connects the tracing of the ``braintrust`` SDK with that of a run; ``None``: the
            SDK is not installed, or cannot be connected.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.registries: list[Registry] = []
        self.sessions = SessionCache(settings.session_limit, settings.session_ttl)
        self.run_slots = RunSlots(settings)
        self.places = Places(settings.max_running_cases)
        self.span_processor = CaseSpanProcessor(settings.tracer_provider)
        self.sdk_spans = braintrust_spans()
        self.sdk_attachments = braintrust_attachments()
        # Called when the application is deleted, or else when the process ends.
        weakref.finalize(self, self.sessions.close)

    def host(self, app: Flask) -> Host:
        """Return the application's part in a run."""
        return Host(
            self.settings,
            self.span_processor,
            app.app_context,
            self.places,
            self.sdk_spans,
            self.sdk_attachments,
        )


def init_app(app: Flask, environ: Mapping[str, str] = os.environ) -> EvalsExtension:
    """Return the extension's state for an application; create it at the first call.

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
        for warning in start_warnings(app, state.settings):
            logger.warning(warning)
    assert isinstance(state, EvalsExtension)
    return state


def current_extension() -> EvalsExtension:
    """Return the state of the current application, in a request or in a command."""
    state = current_app.extensions[EXTENSION_KEY]
    assert isinstance(state, EvalsExtension)
    return state
