"""Endpoints that run functions saved in the cloud, such as remote scorers."""

from __future__ import annotations

from .answers import Answer, Refusal, error_answer, json_answer
from .request import Request
from .state import Function, Project

INLINE = "inline"
"""Slug of the project-less function that plays inline code and inline prompts."""


def invoke(request: Request) -> Answer:
    if project_id := request.call.headers.get("x-bt-project-id"):
        request.world.cloud.get(request.caller, Project, project_id)
    return _run(request, _named(request))


def invoke_by_id(request: Request) -> Answer:
    return _run(request, _by_id(request, request.params["id"]))


def _run(request: Request, function: Function) -> Answer:
    if request.body.get("stream"):
        raise Refusal(400, "The stand-in does not stream: send stream false")
    try:
        return json_answer(function.run(request.body.get("input")))
    except Exception as error:  # whatever it raises is the function's failure, not the stand-in's
        return error_answer(500, f"{type(error).__name__}: {error}")


def _named(request: Request) -> Function:
    body = request.body
    if function_id := request.optional_text("function_id"):
        return _by_id(request, function_id)
    if slug := request.optional_text("slug"):
        return _by_slug(request, slug, request.text("project_name"))
    if slug := request.optional_text("global_function"):
        return _by_slug(request, slug, None)
    if request.optional_text("prompt_session_id"):
        return _by_id(request, request.text("prompt_session_function_id"))
    if body.keys() & {"inline_context", "inline_prompt", "inline_function"}:
        return _by_slug(request, INLINE, None)
    raise Refusal(400, "The body names no function")


def _by_id(request: Request, id: str) -> Function:
    return request.world.cloud.get(request.caller, Function, id)


def _by_slug(request: Request, slug: str, project: str | None) -> Function:
    orgs = request.caller.visible_orgs(None)
    found = [
        function
        for function in request.world.cloud.find(Function, orgs, slug=slug)
        if function.record["project_name"] == project
    ]
    if not found:
        raise Refusal(404, f"No function has the slug {slug!r}")
    return found[0]
