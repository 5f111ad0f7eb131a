"""Serve evaluators to the Braintrust Playground from inside a Flask application."""

from . import contrib, serialization
from ._version import __version__
from .blueprint import EvalsBlueprint, evals_bp
from .config import Session
from .engine.evaluator import Evaluator
from .engine.parameters.prompts import Prompt
from .engine.parameters.values import Parameters
from .engine.running.hooks import EvalHooks
from .engine.tracing import eval_span
from .engine.values.cases import EvalCase
from .engine.values.results import CaseResult, EvalResult
from .engine.values.scores import Classification, Score
from .engine.values.summary import ScoreSummary
from .errors import (
    ConfigurationError,
    DuplicateEvaluatorError,
    EvalsError,
    RegistrationClosedError,
    RegistrationError,
)

eval_span.find_span_class = contrib.spans_if_imported
serialization.before_values_of("braintrust", contrib.write_attachments)

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
    "Parameters",
    "Prompt",
    "RegistrationClosedError",
    "RegistrationError",
    "Score",
    "ScoreSummary",
    "Session",
    "__version__",
    "evals_bp",
]
