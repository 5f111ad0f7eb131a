"""The routes of a blueprint: its paths, and the methods that each has.

A request's view is imported with all that it needs when the first request comes, unless
:func:`~flask_braintrust_evals.warm_up` has done so before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flask import Response, request
from flask.sansio.blueprints import BlueprintSetupState
from werkzeug.routing import BaseConverter

from .config import Settings
from .engine.registry import Registry
from .errors import MethodNotAllowedError, NotFoundError
from .extension import EXTENSION_KEY, current_extension

if TYPE_CHECKING:
    from .views import Views


class Routes:
    """The routes of one blueprint.

    Args:
        registry: its evaluators.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def add_to(self, state: BlueprintSetupState) -> None:
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
            "/": _Route("index", ("GET",), lambda **_: self._views().index()),
            "/list": _Route("list", ("GET", "POST"), lambda **_: self._views().list_evaluators()),
            "/eval": _Route("eval", ("POST",), lambda **_: self._views().evaluate()),
        }
        if settings.openapi:
            view = lambda **_: self._views().openapi()  # noqa: E731
            routes["/openapi.json"] = _Route("openapi", ("GET",), view)
        if settings.playground:
            page = _Route("playground", ("GET",), lambda **_: self._views().playground())
            routes["/playground"] = page
            files = _Route("playground_file", ("GET",), self._playground_file)
            routes["/playground/<file>"] = files
        return routes

    def _views(self) -> Views:
        from .views import Views

        return Views(self._registry)

    def _playground_file(self, file: str, **_: Any) -> Response:
        return self._views().playground_file(file)

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


def _preflight() -> Response:
    response = Response(status=204)
    del response.headers["Content-Type"]
    return response
