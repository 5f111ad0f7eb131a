"""Serve evaluators to the Braintrust Playground from inside a Flask application.

Each public name is imported when it is used first, so that importing the package costs an
application next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import contrib
from ._version import __version__
from .engine.tracing import span_classes
from .engine.values import foreign_datasets
from .serialization import plain_values
from .texts import log_filter

if TYPE_CHECKING:
    from .blueprint.evals_blueprint import EvalsBlueprint, evals_bp
    from .blueprint.warming import warm_up
    from .config.settings import Session
    from .engine.evaluator import Evaluator
    from .engine.parameters.prompts import Prompt
    from .engine.parameters.values import Parameters
    from .engine.running.cases.hooks import EvalHooks
    from .engine.values.cases import EvalCase
    from .engine.values.results import CaseResult, EvalResult
    from .engine.values.scores import Classification, Score
    from .engine.values.summary import MetricSummary, ScoreSummary
    from .errors import (
        ConfigurationError,
        DuplicateEvaluatorError,
        EvalsError,
        RegistrationClosedError,
        RegistrationError,
    )

__all__ = [
    "CaseResult",
    "Classification",
    "ConfigurationError",
    "DuplicateEvaluatorError",
    "EvalCase",
    "EvalHooks",
    "EvalResult",
    "EvalsBlueprint",
    "EvalsError",
    "Evaluator",
    "MetricSummary",
    "Parameters",
    "Prompt",
    "RegistrationClosedError",
    "RegistrationError",
    "Score",
    "ScoreSummary",
    "Session",
    "__version__",
    "evals_bp",
    "warm_up",
]

_MODULES = {
    "blueprint.evals_blueprint": ("EvalsBlueprint", "evals_bp"),
    "blueprint.warming": ("warm_up",),
    "config.settings": ("Session",),
    "engine.evaluator": ("Evaluator",),
    "engine.parameters.prompts": ("Prompt",),
    "engine.parameters.values": ("Parameters",),
    "engine.running.cases.hooks": ("EvalHooks",),
    "engine.values.cases": ("EvalCase",),
    "engine.values.results": ("CaseResult", "EvalResult"),
    "engine.values.scores": ("Classification", "Score"),
    "engine.values.summary": ("MetricSummary", "ScoreSummary"),
    "errors": (
        "ConfigurationError",
        "DuplicateEvaluatorError",
        "EvalsError",
        "RegistrationClosedError",
        "RegistrationError",
    ),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

log_filter.install()
span_classes.find_span_class = contrib.braintrust_spans
span_classes.sdk_has_logger = contrib.sdk_has_logger
foreign_datasets.described = contrib.braintrust_data
plain_values.before_values_of("braintrust", contrib.write_attachments)


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_MODULE_OF[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
