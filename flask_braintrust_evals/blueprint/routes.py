"""The routes of a blueprint: its paths, and the methods that each has.

A request's view is imported with all that it needs when the first request comes, unless
:func:`~flask_braintrust_evals.warm_up` has done so before.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from flask import Response, current_app, has_request_context, request
from flask.sansio.blueprints import BlueprintSetupState

from flask_braintrust_evals.config.settings import Settings
from flask_braintrust_evals.engine.registry import Registry
from flask_braintrust_evals.errors import MethodNotAllowedError, NotFoundError, RegistrationError
from flask_braintrust_evals.extension.state import EXTENSION_KEY, EvalsExtension, current_extension
from flask_braintrust_evals.web.answers.unrouted import REST, UNKNOWN
from flask_braintrust_evals.web.page.page_address import announce_page

if TYPE_CHECKING:
    from .views import Views

_ANY_HOST = "evals_host"
"""The variable for the host, in applications that match hosts. It is no argument of our views."""
_VARIABLES = ("file", "run_id")
"""The variables of paths, each of which is the last part of one."""
_VARIABLE = re.compile(r"<(?:[^<>:]*:)?([^<>:]+)>")
_SWITCHED = {
    "/playground": "BRAINTRUST_EVALS_PLAYGROUND",
    "/openapi.json": "BRAINTRUST_EVALS_OPENAPI",
}
"""The settings that switch on what is off by default."""
_MATCHING: dict[str, Any] = {"strict_slashes": False, "merge_slashes": False}


class Routes:
    """The routes of one blueprint.

    Args:
        registry: its evaluators.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def add_to(self, state: BlueprintSetupState) -> None:
        """Add the routes, with the methods that each has.

        They are rules like any other of the application, so that whatever lists its rules, for a
        page of documentation or for a site map, can do so. What they do not name is answered by
        :mod:`flask_braintrust_evals.web.answers.unrouted`.

        An application that matches hosts may name ours where it registers the blueprint:
        ``register_blueprint(bp, host="evals.example.com")``. Otherwise all hosts are.
        """
        matching = {**_MATCHING}
        if state.app.url_map.host_matching:
            matching["host"] = state.options.get("host", f"<{_ANY_HOST}>")
        extension = state.app.extensions[EXTENSION_KEY]
        routes = self._routes(extension.settings)
        _check_variables(state, matching, routes)
        self._take_address(state, extension, matching)
        for path, route in routes.items():
            state.add_url_rule(
                path,
                route.endpoint,
                route.answer,
                methods=(*route.methods, "OPTIONS"),
                provide_automatic_options=False,
                **matching,
            )
        name = f"{state.name_prefix}.{state.name}".lstrip(".")
        own = [*(route.endpoint for route in routes.values()), UNKNOWN]
        extension.endpoints.update(f"{name}.{endpoint}" for endpoint in own)
        extension.unrouted.add(state, self._answer_other, self._is_known, routes, matching)
        if extension.settings.playground and not (state.subdomain or "host" in matching):
            announce_page(f"{(state.url_prefix or '').rstrip('/')}/playground")

    @staticmethod
    def _take_address(
        state: BlueprintSetupState, extension: EvalsExtension, matching: Mapping[str, Any]
    ) -> None:
        """Note where the blueprint is, unless another one is there: only one would be reached."""
        prefix = f"/{(state.url_prefix or '').strip('/')}"
        other = extension.addresses.setdefault(
            (state.subdomain, matching.get("host"), prefix), state.blueprint.name
        )
        if other != state.blueprint.name:
            raise RegistrationError(
                f"the blueprints {other!r} and {state.blueprint.name!r} are both registered at"
                f" {prefix!r}, so that the evaluators of the second are never reached; give it"
                " another url_prefix"
            )

    def _routes(self, settings: Settings) -> dict[str, _Route]:
        routes = {
            "/": _Route("index", ("GET",), lambda **_: self._views().index()),
            "/ready": _Route("ready", ("GET",), lambda **_: self._views().ready()),
            "/list": _Route("list", ("GET", "POST"), lambda **_: self._views().list_evaluators()),
            "/eval": _Route("eval", ("POST",), lambda **_: self._views().evaluate()),
            "/runs": _Route("runs", ("GET",), lambda **_: self._views().list_runs()),
            "/runs/<run_id>": _Route(
                "run", ("DELETE",), lambda run_id, **_: self._views().cancel_run(run_id)
            ),
        }
        if settings.openapi:
            openapi = _Route("openapi", ("GET",), lambda **_: self._views().openapi())
            routes["/openapi.json"] = openapi
        if settings.playground:
            page = _Route("playground", ("GET",), lambda **_: self._views().playground())
            routes["/playground"] = page
            routes["/playground/<file>"] = _Route(
                "playground_file", ("GET",), lambda file, **_: self._views().playground_file(file)
            )
        return routes

    def _views(self) -> Views:
        from .views import Views

        return Views(self._registry)

    def _is_known(self, rest: str) -> bool:
        return self._route_at(rest) is not None

    def _route_at(self, rest: str) -> Callable[[], Response] | None:
        """Return what answers requests for a path below the prefix, with any slashes around it.

        A page that was given the address with a slash at its end asks for "//list", and a browser
        does not follow redirects of preflights.
        """
        path = "/" + rest.strip("/")
        routes = self._routes(current_extension().settings)
        if path in routes:
            return routes[path].answer
        folder, _, last = path.rpartition("/")
        for variable in _VARIABLES:
            if (pattern := f"{folder}/<{variable}>") in routes:
                return partial(routes[pattern].answer, **{variable: last})
        return None

    def _answer_other(self, rest: str) -> Response:
        """Answer what no route names, such as another method.

        Raises:
            MethodNotAllowedError: the path does not have this method.
            NotFoundError: there is nothing at this path.
        """
        answer = self._route_at(rest)
        if answer is not None:
            return answer()
        if request.method == "OPTIONS":
            return preflight()
        setting = _SWITCHED.get("/" + rest.strip("/"))
        if setting is not None:
            raise NotFoundError(f"{request.path!r} is switched off; set {setting} to true")
        raise NotFoundError(
            f"there is nothing at {request.path!r}; the evaluators are at /list and /eval below the"
            " blueprint's prefix"
        )


def _check_variables(
    state: BlueprintSetupState, matching: Mapping[str, Any], paths: Iterable[str]
) -> None:
    """Refuse an address that has a variable of one of our paths, or one of its own twice."""
    address = "".join(filter(None, (matching.get("host"), state.subdomain, state.url_prefix)))
    given = _VARIABLE.findall(address)
    ours = {REST, *(name for path in paths for name in _VARIABLE.findall(path))}
    for name in given:
        if name in ours or given.count(name) > 1:
            raise RegistrationError(
                f"the blueprint {state.blueprint.name!r} is registered at {address!r}, whose"
                f" variable {name!r} is there twice or also in a path of the blueprint; give it"
                " another name"
            )


def add_host(endpoint: str, values: dict[str, Any]) -> None:
    """Add the host to what an address of ours is built from, where all hosts are ours."""
    rules = current_app.url_map
    if endpoint.rpartition(".")[2] == UNKNOWN:
        return  # which is not among these rules: its address is built from that of the request
    if rules.host_matching and rules.is_endpoint_expecting(endpoint, _ANY_HOST):
        host = request.host if has_request_context() else current_app.config["SERVER_NAME"]
        values.setdefault(_ANY_HOST, host)


@dataclass(frozen=True)
class _Route:
    """A path's view, and the methods that it has besides HEAD and OPTIONS."""

    endpoint: str
    methods: tuple[str, ...]
    view: Callable[..., Response]

    def answer(self, **arguments: Any) -> Response:
        """Answer a request by any method.

        Args:
            arguments: the variables of the path.

        Raises:
            MethodNotAllowedError: the view does not have this method.
        """
        method = request.method
        if ("GET" if method == "HEAD" else method) in self.methods:
            return self.view(**arguments)
        if method == "OPTIONS":
            return preflight()
        raise MethodNotAllowedError(
            f"{method} is not allowed for {request.path!r}; use {' or '.join(self.methods)}",
            (*self.methods, "OPTIONS"),
        )


def is_preflight() -> bool:
    """Return whether the current request asks what may be sent to one of a blueprint's own paths.

    The paths that an application has added to the blueprint are its own.
    """
    return request.method == "OPTIONS" and request.endpoint in current_extension().endpoints


def preflight() -> Response:
    """Return the answer to a preflight; its CORS headers are added to every answer."""
    response = _Empty(status=204)
    del response.headers["Content-Type"]
    return response


class _Empty(Response):
    def get_app_iter(self, environ: dict[str, Any]) -> Iterable[bytes]:
        # Servers may send the headers with the first part of the body alone, such as hypercorn.
        return [b""]
