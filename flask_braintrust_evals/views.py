"""The blueprint's views: each parses, asks for what it needs, and answers."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from flask import Response, current_app, g, request
from flask.sansio.blueprints import BlueprintSetupState
from werkzeug.routing import BaseConverter

from .concurrency.turns import Turn, wait_for_turn
from .config import OPEN_HEADER, Settings
from .engine.registry import Registry
from .errors import MethodNotAllowedError, NotFoundError
from .extension import EXTENSION_KEY, EvalsExtension, current_extension
from .runs.prepare import Requester, prepare
from .runs.probe import PROBE, check_probe
from .runs.request import EvalRequest
from .web import page, sse
from .web.access import Caller, admit, client_has_left
from .web.body import read_json
from .web.body_time import BodyTimes
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
        """Add the routes, with the methods that each has.

        What no route names would be answered by the application, outside of the blueprint: without
        CORS headers, and not as JSON. So there is a rule for all other paths and methods below the
        prefix. A blueprint without a prefix has rules for the other methods of its own paths alone:
        all other paths are the application's.
        """
        has_prefix = bool((state.url_prefix or "").strip("/"))
        for path, route in self._routes(state.app.extensions[EXTENSION_KEY].settings).items():
            state.add_url_rule(
                path,
                route.endpoint,
                route.view,
                methods=route.methods,
                provide_automatic_options=False,
                strict_slashes=False,
                merge_slashes=False,
            )
            if not has_prefix or path == "/":  # which also is the prefix without its slash
                other = f"{route.endpoint}_other"
                _add_rule_for_any_method(state, path, other, route.answer_other)
        if has_prefix:
            state.app.url_map.converters[_Rest.name] = _Rest
            path = f"/<{_Rest.name}:evals_rest>"
            _add_rule_for_any_method(state, path, "unknown", self._unknown)

    def _routes(self, settings: Settings) -> dict[str, _Route]:
        routes = {
            "/": _Route("index", ("GET",), self._index),
            "/list": _Route("list", ("GET", "POST"), self._list),
            "/eval": _Route("eval", ("POST",), self._eval),
        }
        if settings.openapi:
            routes["/openapi.json"] = _Route("openapi", ("GET",), self._openapi)
        if settings.playground:
            routes["/playground"] = _Route("playground", ("GET",), self._playground)
            files = _Route("playground_file", ("GET",), self._playground_file)
            routes["/playground/<file>"] = files
        return routes

    def _index(self, **_: Any) -> Response:
        return json_response({"status": "ok"})

    def _list(self, **_: Any) -> Response:
        _admit().release()
        detailed = request.args.get("details") == "true"
        response = json_response((detailed_manifest if detailed else manifest)(self._registry))
        if current_extension().settings.is_open_by_default:
            response.headers[OPEN_HEADER] = "every organization"
        return response

    def _eval(self, **_: Any) -> Response:
        wait_for_turn(Turn.BEGIN)
        state = current_extension()
        with ExitStack() as held:
            caller = _admit()
            held.callback(caller.release)
            settings = state.settings
            state.run_slots.runs.check(caller.owner)  # before a large body is received for nothing
            times = BodyTimes(settings.body_timeout)
            with state.run_slots.bodies.taken_by(caller.owner):
                value = read_json(request, settings.max_body, settings.max_values, times)
                body = EvalRequest.of(value)
            held.callback(state.run_slots.of(body.name).take(caller.owner))
            stream = _wants_stream(body)
            run = self._prepare(body, caller, state)
            # From here on the run holds them, for as long as it has workers.
            run.when_closed(held.pop_all().close)
        g.braintrust_evals_run = run
        return _answer_run(run, stream)

    def _prepare(self, body: EvalRequest, caller: Caller, state: EvalsExtension) -> EvalRun:
        evaluator = PROBE if body.name == PROBE.name else self._registry.get(body.name)
        spec = body.spec()
        if evaluator is PROBE:
            check_probe(spec)
        heartbeat = state.settings.heartbeat
        requester = Requester(caller.session, caller.project_id, recorded=evaluator is not PROBE)
        prepared = prepare(evaluator, spec, requester, state.host(current_app), heartbeat)
        return EvalRun(
            prepared,
            RunLog(evaluator.name, prepared.org_name),
            GracePeriod.of_request(heartbeat),
            heartbeat,
            case_results=body.case_results is True,
        )

    def _openapi(self, **_: Any) -> Response:
        prefix = request.path.removesuffix("/openapi.json")
        return json_response(openapi(request.script_root + prefix or "/"))

    def _playground(self, **_: Any) -> Response:
        return page.respond(page.INDEX, request)

    def _playground_file(self, file: str, **_: Any) -> Response:
        return page.respond(file, request)

    def _unknown(self, evals_rest: str = "", **_: Any) -> Response:
        # A page that was given the address with a slash at its end asks for "//list", and a browser
        # does not follow redirects of preflights.
        known = self._routes(current_extension().settings).get("/" + evals_rest.strip("/"))
        if known is not None:
            return known.answer()
        if request.method == "OPTIONS":
            return _preflight()
        raise NotFoundError(
            f"there is nothing at {request.path!r}; the evaluators are at /list and /eval below the"
            " blueprint's prefix"
        )


@dataclass(frozen=True)
class _Route:
    """A path's view, and the methods that it has besides HEAD and OPTIONS."""

    endpoint: str
    methods: tuple[str, ...]
    view: Callable[..., Response]

    def answer(self) -> Response:
        """Answer a request by any method."""
        method = "GET" if request.method == "HEAD" else request.method
        return self.view() if method in self.methods else self.answer_other()

    def answer_other(self, **_: Any) -> Response:
        """Answer a request by another method than the view has.

        Raises:
            MethodNotAllowedError: unless it is OPTIONS.
        """
        if request.method == "OPTIONS":
            return _preflight()
        raise MethodNotAllowedError(
            f"{request.method} is not allowed for {request.path!r}; use"
            f" {' or '.join(self.methods)}",
            (*self.methods, "OPTIONS"),
        )


def _add_rule_for_any_method(
    state: BlueprintSetupState, path: str, endpoint: str, view: Callable[..., Response]
) -> None:
    """Add a rule for all methods that no rule before it names.

    Flask's own ``add_url_rule`` always limits a rule to some methods, so this widens what it adds.
    """
    state.add_url_rule(
        path,
        endpoint,
        view,
        provide_automatic_options=False,
        strict_slashes=False,
        merge_slashes=False,
    )
    name = f"{state.name_prefix}.{state.name}.{endpoint}".lstrip(".")
    for rule in state.app.url_map.iter_rules(name):
        rule.methods = None


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
