"""Which call does what: authorisation first, then one function per endpoint."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import unquote

from . import attachments, functions, logs, objects, parameters, reading, tracing
from .answers import Answer, Refusal, error_answer, json_answer
from .journal import Call
from .request import Request, World
from .state import Caller

Handler = Callable[[Request], Answer]


def _route(method: str, template: str, handler: Handler) -> tuple[str, re.Pattern[str], Handler]:
    pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template)
    return method, re.compile(pattern), handler


_LOGIN = "/api/apikey/login"
_ROUTES = [
    _route("POST", "/v1/project", objects.create_project),
    _route("GET", "/v1/project/{id}", objects.get_project),
    _route("POST", "/v1/experiment", objects.create_experiment),
    _route("GET", "/v1/experiment", objects.list_experiments),
    _route("GET", "/v1/experiment/{id}", objects.get_experiment),
    _route("GET", "/v1/experiment/{id}/summarize", objects.summarize_experiment),
    _route("POST", "/v1/experiment/{id}/fetch", reading.fetch_experiment),
    _route("POST", "/v1/dataset", objects.create_dataset),
    _route("GET", "/v1/dataset", objects.list_datasets),
    _route("GET", "/v1/dataset/{id}", objects.get_dataset),
    _route("POST", "/v1/dataset/{id}/fetch", reading.fetch_dataset),
    _route("GET", "/environment-object/dataset/{id}/{environment}", reading.get_environment),
    _route("POST", "/btql", reading.query),
    _route("POST", "/function/invoke", functions.invoke),
    _route("POST", "/v1/function/{id}/invoke", functions.invoke_by_id),
    _route("GET", "/v1/function", parameters.list_functions),
    _route("GET", "/v1/function/{id}", parameters.get_function),
    _route("POST", "/otel/v1/traces", tracing.export),
    _route("POST", "/attachment", attachments.announce),
    _route("GET", "/attachment", attachments.describe),
    _route("POST", "/attachment/status", attachments.report),
    _route("GET", "/version", logs.version),
    _route("POST", "/logs3", logs.insert),
]


def respond(world: World, call: Call) -> Answer:
    """Answer a call as the cloud would."""
    try:
        if (call.method, call.path) == ("POST", _LOGIN):
            return _login(world, call)
        if call.path.startswith(attachments.STORE):
            return attachments.store(world, call)
        return _dispatch(world, call)
    except Refusal as refusal:
        return error_answer(refusal.status, refusal.message)


def _login(world: World, call: Call) -> Answer:
    orgs = world.cloud.orgs_of(call.token)
    return json_answer(
        {
            "org_info": [
                {
                    "id": world.cloud.org_id(name),
                    "name": name,
                    "api_url": world.url,
                    "git_metadata": world.cloud.git_metadata.get(name),
                    "is_universal_api": None,
                    "proxy_url": world.url,
                    "realtime_url": "wss://realtime.invalid",
                    **world.addresses.get(name, {}),
                }
                for name in orgs
            ]
        }
    )


def _dispatch(world: World, call: Call) -> Answer:
    found = [
        (method, match, handler)
        for method, pattern, handler in _ROUTES
        if (match := pattern.fullmatch(call.path))
    ]
    if not found:
        raise Refusal(404, f"The stand-in has no endpoint {call.path}")
    for method, match, handler in found:
        if method == call.method:
            # Quoted slashes stay inside their segment, so unquoting comes after matching.
            params = {key: unquote(value) for key, value in match.groupdict().items()}
            return handler(Request(world, call, _authorise(world, call), params))
    raise Refusal(405, f"{call.path} has no {call.method}")


def _authorise(world: World, call: Call) -> Caller:
    orgs = world.cloud.orgs_of(call.token)
    named = call.headers.get("x-bt-org-name")
    if named is not None and named not in orgs:
        raise Refusal(403, f"Not a member of organization {named!r}")
    return Caller(call.token or "", orgs, named)
