"""The blueprint: its routes, and the registration of evaluators.

At import, a blueprint collects evaluators in its own registry. When it is registered in an
application, it reads the settings and keeps what it needs at ``app.extensions``; nothing of an
application is kept on the blueprint, so that one may be registered in several.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from os import PathLike
from typing import Any, TypeVar, overload

from flask import Blueprint, Flask, Response, current_app, g, request
from flask.sansio.blueprints import BlueprintSetupState
from werkzeug.exceptions import HTTPException, default_exceptions
from werkzeug.routing import BaseConverter

from .engine.callables import callable_name
from .engine.evaluator import Evaluator, location_of
from .engine.registry import Registry
from .errors import EvalsError, MethodNotAllowedError, NotFoundError, RegistrationError
from .extension import current_extension, init_app
from .web import sse
from .web.access import Caller, admit, client_has_left
from .web.body import read_json
from .web.cors import add_cors_headers
from .web.evals import EvalRun, Host, prepare
from .web.manifest import manifest
from .web.models import EvalRequest
from .web.openapi import openapi
from .web.responses import (
    error_response,
    http_exception_response,
    json_response,
    unexpected_error_response,
)

F = TypeVar("F", bound=Callable[..., Any])


class EvalsBlueprint(Blueprint):
    """A blueprint that serves evaluators to the Braintrust Playground.

    Args:
        name: the blueprint's name; also the first part of its endpoints' names.
        import_name: usually ``__name__``.
        evaluators: evaluators to register at once.
        blueprint_options: whatever else :class:`flask.Blueprint` takes.

    Raises:
        DuplicateEvaluatorError: two of the evaluators have the same name.
    """

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
        self.record(self._add_routes)
        self.before_request(self.registry.close)
        self.after_request(_after_request)
        self.teardown_request(_close_unanswered)
        self.register_error_handler(EvalsError, error_response)
        # For each status, because an application's own page for one comes before what a blueprint
        # has for all.
        for status in (None, *default_exceptions):
            self.register_error_handler(status or HTTPException, http_exception_response)
        self.register_error_handler(Exception, unexpected_error_response)

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
            RegistrationError: an option makes no sense.
            DuplicateEvaluatorError: the blueprint has an evaluator of this name.
            RegistrationClosedError: the first request has been served.
        """
        if callable(name):  # @bp.evaluator, without parentheses
            return self.evaluator()(name)

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
            RegistrationError: it is neither, or one of the SDK's that cannot be served.
            DuplicateEvaluatorError: the blueprint has an evaluator of this name.
            RegistrationClosedError: the first request has been served.
        """
        self.registry.add(evaluator if isinstance(evaluator, Evaluator) else _adopt(evaluator))

    def load(self, path: str | PathLike[str]) -> None:
        """Register the evaluators of files written for ``braintrust eval``, without running them.

        Args:
            path: a file, a folder (in which files named ``eval_*.py`` are looked for, at any
                depth), or a pattern of :mod:`glob`. Relative to the working directory.

        Raises:
            RegistrationError: the ``braintrust`` package is not installed; there is no such file;
                one cannot be imported (its own exception is the cause) or defines nothing that can
                be served.
            DuplicateEvaluatorError: the blueprint has an evaluator of this name.
            RegistrationClosedError: the first request has been served.
        """
        try:
            from .contrib.braintrust.loading import load
        except ModuleNotFoundError as error:
            raise RegistrationError(
                "load() needs the braintrust package: install"
                f" 'flask-braintrust-evals[braintrust]' ({error})"
            ) from error
        for evaluator in load(path):
            self.add(evaluator)

    def register(self, app: Flask, options: dict[str, Any]) -> None:  # type: ignore[override]
        """Register the blueprint; called by :meth:`flask.Flask.register_blueprint`.

        Raises:
            ConfigurationError: one of the application's settings is wrong.
        """
        init_app(app)
        super().register(app, options)

    def _add_routes(self, state: BlueprintSetupState) -> None:
        """Add the routes, each for every method.

        Flask's own ``add_url_rule`` always names methods, and what it does not name is answered by
        the application, outside of the blueprint: without CORS headers, and not as JSON. For the
        same reason there is a rule for all other paths, unless the blueprint has no prefix and
        these are the application's.
        """
        prefix = (state.url_prefix or "").rstrip("/")
        views = [("/", "index", self._index), ("/list", "list", self._list)]
        views += [("/eval", "eval", self._eval), ("/openapi.json", "openapi", self._openapi)]
        if prefix:
            state.app.url_map.converters[_Rest.name] = _Rest
            views += [(f"/<{_Rest.name}:evals_rest>", "unknown", self._unknown)]
        for path, endpoint, view in views:
            rule = state.app.url_rule_class(
                prefix + path,
                endpoint=f"{state.name_prefix}.{state.name}.{endpoint}".lstrip("."),
                subdomain=state.subdomain,
                defaults=state.url_defaults or None,
                strict_slashes=False,
                merge_slashes=False,
            )
            state.app.url_map.add(rule)
            state.app.view_functions[rule.endpoint] = view

    def _index(self, **_: Any) -> Response:
        return _by_method(GET=lambda: json_response({"status": "ok"}))

    def _list(self, **_: Any) -> Response:
        def answer() -> Response:
            _admit().release()
            return json_response(manifest(self.registry))

        return _by_method(GET=answer, POST=answer)

    def _eval(self, **_: Any) -> Response:
        def answer() -> Response:
            state = current_extension()
            app = current_app._get_current_object()  # type: ignore[attr-defined]
            with ExitStack() as held:
                caller = _admit()
                held.callback(caller.release)
                state.run_slots.take()
                held.callback(state.run_slots.give_back)
                body = EvalRequest.of(read_json(request, state.settings.max_body))
                host = Host(
                    state.settings,
                    self.registry,
                    state.span_router,
                    app.app_context,
                    state.sdk_spans,
                )
                stream = _wants_stream(body)
                run = prepare(body, caller, host)
                # From here on the run holds them, for as long as it has workers.
                run.when_closed(held.pop_all().close)
            g.braintrust_evals_run = run
            return _answer_run(run, stream)

        return _by_method(POST=answer)

    def _openapi(self, **_: Any) -> Response:
        if not current_extension().settings.openapi:
            return self._unknown("openapi.json")
        prefix = request.path.removesuffix("/openapi.json")
        return _by_method(GET=lambda: json_response(openapi(request.script_root + prefix or "/")))

    def _unknown(self, evals_rest: str = "", **_: Any) -> Response:
        # A page that was given the address with a slash at its end asks for "//list", and a browser
        # does not follow redirects of preflights.
        known = {"": self._index, "list": self._list, "eval": self._eval}.get(evals_rest.strip("/"))
        if known is not None:
            return known()
        if request.method == "OPTIONS":
            return _preflight()
        raise NotFoundError(
            f"there is nothing at {request.path!r}; the evaluators are at /list and /eval below the"
            " blueprint's prefix"
        )


def _adopt(value: Any) -> Evaluator:
    if any(base.__module__.partition(".")[0] == "braintrust" for base in type(value).__mro__):
        from .contrib.braintrust.evaluators import from_sdk, is_sdk_evaluator

        if is_sdk_evaluator(value):
            return from_sdk(value)
    raise RegistrationError(
        f"add() takes an Evaluator, not {value!r}; for a function, use @bp.evaluator()"
    )


def _documentation(task: Any) -> str | None:
    """A function's docstring; that of an object is its class's, and says nothing of the task."""
    return inspect.getdoc(task) if inspect.isroutine(task) else None


class _Rest(BaseConverter):
    """Any rest of a path, slashes at its beginning included."""

    name = "braintrust_evals_rest"
    regex = ".*?"
    part_isolating = False
    weight = 1000  # after everything that the application has below the prefix


def _admit() -> Caller:
    state = current_extension()
    return admit(request, state.settings, state.sessions)


def _after_request(response: Response) -> Response:
    return add_cors_headers(request, response, current_extension().settings)


def _close_unanswered(error: BaseException | None) -> None:
    """Close a run whose answer was lost: an application's own ``after_request`` may have failed."""
    run: EvalRun | None = g.pop("braintrust_evals_run", None)
    if run is not None and error is not None:
        run.close()


def _by_method(**answers: Callable[[], Response]) -> Response:
    """Answer by the request's method; HEAD as GET, and OPTIONS always."""
    if request.method == "OPTIONS":
        return _preflight()
    method = "GET" if request.method == "HEAD" else request.method
    answer = answers.get(method)
    if answer is None:
        allowed = (*answers, "OPTIONS")
        raise MethodNotAllowedError(
            f"{request.method} is not allowed for {request.path!r}; use {' or '.join(answers)}",
            allowed,
        )
    return answer()


def _preflight() -> Response:
    response = Response(status=204)
    del response.headers["Content-Type"]
    return response


def _wants_stream(body: EvalRequest) -> bool:
    if body.stream is not None:
        return body.stream
    accepted = {
        kind.partition(";")[0].strip().lower()
        for kind, quality in request.accept_mimetypes
        if quality > 0
    }
    return "application/json" not in accepted or "text/event-stream" in accepted


def _answer_run(run: EvalRun, stream: bool) -> Response:
    if not stream:
        try:
            return json_response(run.result(lambda: client_has_left(request)))
        finally:
            run.close()
    chunks = (
        sse.HEARTBEAT if message is None else sse.encode(message.event, message.data)
        for message in run.messages()
    )
    response = Response(chunks, headers=sse.HEADERS)
    # Not left to the generator: one that was never started has no end to clean up at.
    response.call_on_close(run.close)
    return response


evals_bp = EvalsBlueprint()
"""A ready-made blueprint for applications that need only one."""
