"""Answers what no route of the application names, below the prefixes of its blueprints.

Flask answers such a request outside of the blueprint: without CORS headers, and not as JSON. A rule
for all paths and methods would lead it into the blueprint. But other extensions list
or document the application's rules, and expect an address and a few methods of each. So those rules
are in a map of their own, where a request is looked up that the application has no route for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any
from urllib.parse import quote

from flask import current_app, has_request_context, request
from flask.sansio.app import App
from flask.sansio.blueprints import BlueprintSetupState
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound
from werkzeug.routing import BaseConverter, Map, MapAdapter, Rule

UNKNOWN = "unknown"
"""The last part of the endpoint's name."""
REST = "evals_rest"
"""The variable for what comes after the prefix."""

_SAFE = "%!#$&'()*+,/:;=?@"
"""Characters of an anchor that stay as they are, as in Flask."""
_OPTIONS = ("anchor", "external", "method", "scheme")
"""The options of ``url_for`` beside the variables."""

View = Callable[[str], ResponseReturnValue]
"""A function that answers the current request; its argument is the path below the prefix."""


class Unrouted:
    """The rules for what the routes of one application do not name.

    They are made when they are first needed, since each takes half a millisecond.
    """

    def __init__(self) -> None:
        self._map: Map | None = None
        self._rules: list[Callable[[], Rule]] = []
        self._is_known: dict[str, Callable[[str], bool]] = {}

    def add(
        self,
        state: BlueprintSetupState,
        view: View,
        is_known: Callable[[str], bool],
        paths: Iterable[str],
        matching: Mapping[str, Any],
    ) -> None:
        """Add the rules of one registration of a blueprint.

        A blueprint without a prefix gets rules for the other methods of its own paths alone: all
        other paths are the application's.

        Args:
            state: the registration.
            view: answers what no route names.
            is_known: whether a path below the prefix is one of the blueprint's own.
            paths: the paths of the blueprint.
            matching: further arguments of each rule.
        """
        name = f"{state.name_prefix}.{state.name}.{UNKNOWN}".lstrip(".")
        prefix = (state.url_prefix or "").rstrip("/")
        rests = {f"{prefix}/": ""}
        if prefix:
            rests[f"{prefix}/<{_Rest.name}:{REST}>"] = ""
        else:
            rests.update((path, path) for path in paths)
        for path, rest in rests.items():
            defaults = {**state.url_defaults}
            if REST not in path:
                defaults[REST] = rest
            self._rules.append(
                partial(
                    Rule,
                    path,
                    endpoint=name,
                    defaults=defaults,
                    subdomain=state.subdomain,
                    **matching,
                )
            )
        self._map = None
        if not self._is_known:
            state.app.url_value_preprocessor(self._find)
            state.app.url_build_error_handlers.append(self._build)
        self._is_known[name] = is_known
        state.app.view_functions[name] = lambda **arguments: _answer(view, arguments[REST])

    def _make_map(self, app: App) -> Map:
        own = Map(
            default_subdomain=app.url_map.default_subdomain,
            host_matching=app.url_map.host_matching,
            strict_slashes=False,
            merge_slashes=False,
            redirect_defaults=False,
        )
        # The prefix may have converters of the application.
        own.converters = {**app.url_map.converters, _Rest.name: _Rest}
        for make in self._rules:
            own.add(make())
        return own

    def _find(self, *_: Any) -> None:
        """Lead the current request to the view of a rule here, if it is not the application's."""
        error = request.routing_exception
        if not isinstance(error, NotFound | MethodNotAllowed):
            return
        adapter = self._adapter()
        if adapter is None:
            return
        try:
            rule, arguments = adapter.match(return_rule=True)
        except HTTPException:
            return
        if isinstance(error, MethodNotAllowed) and not self._is_known[rule.endpoint](
            arguments[REST]
        ):
            return  # the path is a route of the application's own, below the prefix
        request.routing_exception = None
        request.url_rule, request.view_args = rule, dict(arguments)

    def _build(self, error: Exception, endpoint: str, values: dict[str, Any]) -> str:
        """Return what ``url_for`` returns for the endpoint of a request that was led here.

        Raises:
            Exception: ``error``, as Flask expects it, for any other endpoint.
        """
        adapter = self._adapter() if has_request_context() and endpoint in self._is_known else None
        if adapter is None:
            raise error
        options = {name: values.get(f"_{name}") for name in _OPTIONS}
        variables = {**values}
        if endpoint == request.endpoint:  # it has the variable of a host, too, if hosts are matched
            variables = {**(request.view_args or {}), **values}
        for name in _OPTIONS:
            variables.pop(f"_{name}", None)
        address = adapter.build(
            endpoint,
            variables,
            force_external=bool(options["external"]),
            url_scheme=options["scheme"],
        )
        anchor = options["anchor"]
        return address if anchor is None else f"{address}#{quote(anchor, safe=_SAFE)}"

    def _adapter(self) -> MapAdapter | None:
        """Return what looks up the current request in the map here, as Flask does in its own."""
        adapter = current_app.create_url_adapter(request)
        if adapter is None:
            return None
        rules = self._map
        if rules is None:
            rules = self._map = self._make_map(current_app)
        return MapAdapter(
            rules,
            adapter.server_name,
            adapter.script_name,
            adapter.subdomain,
            adapter.url_scheme,
            adapter.path_info,
            adapter.default_method,
            adapter.query_args,
        )


def _answer(view: View, rest: str) -> ResponseReturnValue:
    """Return the answer of a view, or that of the blueprint's own ``before_request``, as usual.

    Flask has chosen the functions to call before the request was led here.
    """
    names = [*reversed(request.blueprints)]
    for name in names:
        for preprocess in current_app.url_value_preprocessors.get(name, ()):
            preprocess(request.endpoint, request.view_args)
    for name in names:
        for function in current_app.before_request_funcs.get(name, ()):
            answer: ResponseReturnValue | None = current_app.ensure_sync(function)()
            if answer is not None:
                return answer
    return view(rest)


class _Rest(BaseConverter):
    """Any rest of a path, slashes at its beginning included."""

    name = "braintrust_evals_rest"
    regex = ".*?"
    part_isolating = False
