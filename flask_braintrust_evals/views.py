"""The blueprint's views: each parses, asks for what it needs, and answers."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from flask import Response, current_app, g, request
from flask.sansio.blueprints import BlueprintSetupState
from werkzeug.routing import BaseConverter

from .concurrency.turns import Turn, wait_for_turn
from .engine.registry import Registry
from .errors import MethodNotAllowedError, NotFoundError
from .extension import EXTENSION_KEY, EvalsExtension, current_extension
from .runs.prepare import Requester, prepare
from .runs.probe import PROBE
from .runs.request import EvalRequest
from .web import page, sse
from .web.access import Caller, admit, client_has_left
from .web.body import read_json
from .web.cors import add_cors_headers
from .web.evals import EvalRun
from .web.manifest import detailed_manifest, manifest
from .web.openapi import openapi
from .web.responses import json_response
from .web.run_log import RunLog
from .web.stopping import GracePeriod


class Views:
    """The views of one blueprint.

    Args:
        registry: its evaluators.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def add_routes(self, state: BlueprintSetupState) -> None:
        """Add the routes, each for every method.

        Flask's own ``add_url_rule`` always names methods, and what it does not name is answered by
        the application, outside of the blueprint: without CORS headers, and not as JSON. For the
        same reason there is a rule for all other paths, unless the blueprint has no prefix and
        these are the application's.
        """
        prefix = (state.url_prefix or "").rstrip("/")
        views: list[tuple[str, str, Callable[..., Response]]] = [
            ("/", "index", self._index),
            ("/list", "list", self._list),
        ]
        views += [("/eval", "eval", self._eval), ("/openapi.json", "openapi", self._openapi)]
        if state.app.extensions[EXTENSION_KEY].settings.playground:
            views += [("/playground", "playground", self._playground)]
            views += [("/playground/<file>", "playground_file", self._playground_file)]
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
            detailed = request.args.get("details") == "true"
            return json_response((detailed_manifest if detailed else manifest)(self._registry))

        return _by_method(GET=answer, POST=answer)

    def _eval(self, **_: Any) -> Response:
        def answer() -> Response:
            wait_for_turn(Turn.BEGIN)
            state = current_extension()
            with ExitStack() as held:
                caller = _admit()
                held.callback(caller.release)
                state.run_slots.take()
                held.callback(state.run_slots.give_back)
                body = EvalRequest.of(read_json(request, state.settings.max_body))
                stream = _wants_stream(body)
                run = self._prepare(body, caller, state)
                # From here on the run holds them, for as long as it has workers.
                run.when_closed(held.pop_all().close)
            g.braintrust_evals_run = run
            return _answer_run(run, stream)

        return _by_method(POST=answer)

    def _prepare(self, body: EvalRequest, caller: Caller, state: EvalsExtension) -> EvalRun:
        evaluator = PROBE if body.name == PROBE.name else self._registry.get(body.name)
        heartbeat = state.settings.heartbeat
        requester = Requester(caller.session, caller.project_id, recorded=evaluator is not PROBE)
        prepared = prepare(evaluator, body.spec(), requester, state.host(current_app), heartbeat)
        return EvalRun(
            prepared,
            RunLog(evaluator.name, prepared.org_name),
            GracePeriod.of_request(heartbeat),
            heartbeat,
            case_results=body.case_results is True,
        )

    def _openapi(self, **_: Any) -> Response:
        if not current_extension().settings.openapi:
            return self._unknown("openapi.json")
        prefix = request.path.removesuffix("/openapi.json")
        return _by_method(GET=lambda: json_response(openapi(request.script_root + prefix or "/")))

    def _playground(self, **_: Any) -> Response:
        return self._playground_file(page.INDEX)

    def _playground_file(self, file: str, **_: Any) -> Response:
        return _by_method(GET=lambda: page.respond(file, request))

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


class _Rest(BaseConverter):
    """Any rest of a path, slashes at its beginning included."""

    name = "braintrust_evals_rest"
    regex = ".*?"
    part_isolating = False
    weight = 1000  # after everything that the application has below the prefix


def _admit() -> Caller:
    state = current_extension()
    return admit(request, state.settings, state.sessions)


def after_request(response: Response) -> Response:
    """Add the CORS headers, to errors too."""
    return add_cors_headers(request, response, current_extension().settings)


def close_unanswered(error: BaseException | None) -> None:
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
        b"".join(sse.encode(each.event, each.data) for each in messages) or sse.HEARTBEAT
        for messages in run.messages()
    )
    response = Response(chunks, headers=sse.HEADERS)
    # Not left to the generator: one that was never started has no end to clean up at.
    response.call_on_close(run.close)
    return response
