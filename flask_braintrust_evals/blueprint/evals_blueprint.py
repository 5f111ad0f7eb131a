"""The blueprint: its routes, and the registration of evaluators.

At import time, a blueprint collects evaluators in its own registry. At registration, it reads the
settings of the application, and stores them and all other state at ``app.extensions``. The
blueprint itself stores nothing of an application, so it may be registered in several.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from os import PathLike
from typing import Any, TypeVar, overload

from flask import Blueprint, Flask, Response, request
from werkzeug.exceptions import HTTPException, default_exceptions

from flask_braintrust_evals.cli import evals_cli
from flask_braintrust_evals.contrib import share_variables
from flask_braintrust_evals.engine.calls.introspection import callable_name, location_of
from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.registry import Registry
from flask_braintrust_evals.errors import EvalsError, RegistrationError
from flask_braintrust_evals.extension.state import (
    OWN_ANSWER,
    UNANSWERED,
    current_extension,
    current_request,
    init_app,
)
from flask_braintrust_evals.web.answers.responses import (
    error_response,
    exception_response,
    http_exception_response,
)

from .routes import Routes, add_host, is_preflight, preflight

F = TypeVar("F", bound=Callable[..., Any])


class EvalsBlueprint(Blueprint):
    """A blueprint that serves evaluators to the Braintrust Playground.

    Args:
        name: the blueprint's name; also the first part of its endpoints' names.
        import_name: usually ``__name__``.
        evaluators: evaluators to register.
        blueprint_options: further arguments of :class:`flask.Blueprint`.

    Attributes:
        registry: the evaluators of the blueprint. Iterate over it, or get one by its name.

    Raises:
        DuplicateEvaluatorError: two of the evaluators have the same name.
        RegistrationError: one of them is no evaluator, or cannot be served.
    """

    enable_openapi = False
    """For applications of APIFlask: that the blueprint is no part of their documentation."""

    def __init__(
        self,
        name: str = "braintrust_evals",
        import_name: str = "flask_braintrust_evals",
        *,
        evaluators: Iterable[Evaluator] = (),
        **blueprint_options: Any,
    ) -> None:
        super().__init__(name, import_name, **blueprint_options)
        self.registry = Registry()
        for evaluator in evaluators:
            self.add(evaluator)
        self.record(Routes(self.registry).add_to)
        self.url_defaults(add_host)
        self.before_request(self.registry.close)
        self.after_request(_own_answer)
        self.teardown_request(_close_unanswered)
        self.register_error_handler(EvalsError, error_response)
        # For each status, because Flask prefers an application's handler for one status to a
        # blueprint's handler for all.
        for status in (None, *default_exceptions):
            self.register_error_handler(status or HTTPException, http_exception_response)
        self.register_error_handler(Exception, exception_response)

    @overload
    def evaluator(self, name: F, /) -> F: ...

    @overload
    def evaluator(
        self,
        name: str | None = None,
        *,
        scores: Sequence[Any] = (),
        classifiers: Sequence[Any] = (),
        parameters: Any = None,
        project: str | None = None,
        project_id: str | None = None,
        data: Any = None,
        experiment_name: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        tags: Sequence[str] | None = None,
        trial_count: int = 1,
        max_concurrency: int | None = None,
        timeout: float | None = None,
        task_timeout: float | None = None,
        retries: int = 0,
        blocking: bool = False,
        distributed: bool = True,
        description: str | None = None,
        error_score_handler: Callable[..., Any] | None = None,
        base_experiment_name: str | None = None,
        base_experiment_id: str | None = None,
        is_public: bool = False,
    ) -> Callable[[F], F]: ...

    def evaluator(self, name: Any = None, **options: Any) -> Any:
        """Register the decorated function as the task of an evaluator, and return it unchanged.

        Args:
            name: the evaluator's name; default: the function's.
            options: the fields of :class:`Evaluator`.

        Raises:
            RegistrationError: an option is not valid.
            DuplicateEvaluatorError: the blueprint has an evaluator of this name.
            RegistrationClosedError: the first request has been served.
        """
        if callable(name):  # @bp.evaluator, without parentheses
            return self.evaluator()(name)
        if "task" in options:  # as in Eval() of the SDK; nothing would be registered
            shown = '"name"' if name is None else repr(name)
            raise RegistrationError(
                f"evaluator() decorates the task; to pass it, write add(Evaluator({shown}, ...))"
            )

        def register(task: F) -> F:
            self.add(
                Evaluator(
                    name if name is not None else callable_name(task),
                    task,
                    location=location_of(task),
                    **{"description": _documentation(task), **options},
                )
            )
            return task

        return register

    def add(self, evaluator: Any) -> None:
        """Register an evaluator.

        Args:
            evaluator: an :class:`Evaluator`, or an ``Evaluator`` of the ``braintrust`` SDK.

        Raises:
            RegistrationError: it is neither of them, or an evaluator of the SDK that cannot be
                served.
            DuplicateEvaluatorError: the blueprint has an evaluator of this name.
            RegistrationClosedError: the first request has been served.
        """
        self.registry.add(evaluator if isinstance(evaluator, Evaluator) else _from_sdk(evaluator))

    def load(self, path: str | PathLike[str], *, blocking: bool = False) -> None:
        """Register the evaluators of files written for ``braintrust eval``, without running them.

        Args:
            path: a file; a folder, in which files named ``eval_*.py`` or ``*.eval.py`` are found at
                any depth; or a pattern of :mod:`glob`. It is relative to the working directory.
            blocking: see :class:`Evaluator`; for all evaluators of these files.

        Raises:
            RegistrationError: the ``braintrust`` package is not installed; there is no such file; a
                file cannot be imported (its own exception is the cause), or defines no evaluator
                that can be served.
            DuplicateEvaluatorError: the blueprint has an evaluator of this name.
            RegistrationClosedError: the first request has been served.
        """
        try:
            from flask_braintrust_evals.contrib.braintrust.loading import load
        except ImportError as error:
            raise RegistrationError(
                "load() needs the braintrust package, 0.31 or later: pip install"
                f" 'flask-braintrust-evals[braintrust]' ({error})"
            ) from error
        for evaluator in load(path, blocking=blocking):
            self.add(evaluator)

    def register(self, app: Flask, options: dict[str, Any]) -> None:  # type: ignore[override]
        """Register the blueprint; called by :meth:`flask.Flask.register_blueprint`.

        Raises:
            ConfigurationError: one of the application's settings is wrong.
            RegistrationError: another blueprint of evaluators has the same address, or the name of
                a variable in it cannot be used.
        """
        state = init_app(app)
        if self.registry not in state.registries:
            state.registries.append(self.registry)
        app.cli.commands.setdefault("evals", evals_cli)
        last = app.after_request_funcs.setdefault(None, [])
        if _finish_answer not in last:
            last.insert(0, _finish_answer)  # Flask calls the first one last
        # Here: what the application has set up so far is seen in this context, and not in requests.
        share_variables()
        super().register(app, options)


def _from_sdk(value: Any) -> Evaluator:
    if any(base.__module__.partition(".")[0] == "braintrust" for base in type(value).__mro__):
        from flask_braintrust_evals.contrib.braintrust.evaluators import from_sdk, is_sdk_evaluator

        if is_sdk_evaluator(value):
            return from_sdk(value)
    raise RegistrationError(
        f"add() takes an Evaluator, not {value!r}; for a function, use @bp.evaluator()"
    )


def _own_answer(response: Response) -> Response:
    """Add the CORS headers, to errors too, and answer every preflight."""
    from flask_braintrust_evals.web.answers.own_answer import OwnAnswer

    # Of an application that requires a login of all requests, or redirects them, for instance.
    if is_preflight() and response.status_code != 204:
        response = preflight()
    current = current_request()
    own = OwnAnswer(current, response, current_extension().settings)
    current.environ[OWN_ANSWER] = own
    return own.response


def _finish_answer(response: Response) -> Response:
    """Undo what the application has changed of an answer of ours and must not; called last."""
    own = request.environ.pop(OWN_ANSWER, None)
    return response if own is None else own.finish(response)


def _close_unanswered(error: BaseException | None) -> None:
    """Close a run whose answer is lost.

    An application's own ``after_request`` may have failed, or answered with another response.
    """
    environ = request.environ
    # It has the response, whose stream counts as lost once nothing has it.
    environ.pop(OWN_ANSWER, None)
    run = environ.pop(UNANSWERED, None)
    if run is not None and (error is not None or run.is_abandoned):
        run.close()


def _documentation(task: Any) -> str | None:
    """Return the docstring of a function; an object has that of its class, which is too general."""
    # From Python 3.14 on, a partial counts as a routine.
    is_function = inspect.isroutine(task) and not isinstance(task, functools.partial)
    return inspect.getdoc(task) if is_function else None


evals_bp = EvalsBlueprint()
"""A ready-made blueprint for applications that need only one."""
