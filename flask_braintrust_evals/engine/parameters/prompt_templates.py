"""The templates of a prompt: which of its texts are rendered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .templates import Render


def templates_of(data: Mapping[str, Any]) -> list[str]:
    """Return the templates of a prompt, whose data is as :mod:`.prompts` describes it."""
    found: list[str] = []

    def keep(template: str) -> str:
        found.append(template)
        return template

    prompt = data.get("prompt") or {}
    if prompt.get("type") == "completion":
        keep(prompt["content"])
    else:
        for message in prompt.get("messages") or []:
            rendered_message(message, keep)
        rendered_texts(prompt.get("tools"), keep)
    rendered_texts(response_schema((data.get("options") or {}).get("params") or {}), keep)
    return found


def response_schema(params: Mapping[str, Any]) -> Any:
    """Return the JSON Schema of the response that params ask for; ``None``: for none."""
    response_format = params.get("response_format")
    if not isinstance(response_format, dict) or response_format.get("type") != "json_schema":
        return None
    described = response_format.get("json_schema")
    return described.get("schema") if isinstance(described, dict) else None


def rendered_message(message: Mapping[str, Any], render: Render) -> dict[str, Any]:
    """Return a message, rendered."""
    content = message.get("content")
    if isinstance(content, str):
        content = render(content)
    elif content is not None:
        content = [_part(each, render) for each in content]
    built = {**message, "content": content}
    if "tool_calls" in message:
        built["tool_calls"] = [_tool_call(each, render) for each in message["tool_calls"]]
    return _render_fields(built, ("tool_call_id",), render)


def _part(part: Any, render: Render) -> Any:
    """Return a part of a message, rendered. Parts of other types are returned unchanged."""
    if not isinstance(part, Mapping):
        return part
    if part.get("type") == "text":
        return _render_fields(part, ("text",), render)
    for kind, fields in (("image_url", ("url",)), ("file", ("file_data", "file_id", "filename"))):
        if part.get("type") == kind and isinstance(part.get(kind), Mapping):
            return {**part, kind: _render_fields(part[kind], fields, render)}
    return part


def _tool_call(call: Mapping[str, Any], render: Render) -> dict[str, Any]:
    built = _render_fields(call, ("id",), render)
    function = call.get("function")
    if isinstance(function, Mapping):
        built["function"] = _render_fields(function, ("name", "arguments"), render)
    return built


def _render_fields(
    value: Mapping[str, Any], fields: tuple[str, ...], render: Render
) -> dict[str, Any]:
    filled = {name: render(value[name]) for name in fields if isinstance(value.get(name), str)}
    return {**value, **filled}


def rendered_texts(value: Any, render: Render) -> Any:
    """Return a JSON value, all of whose texts are rendered, except the names of its objects."""
    if isinstance(value, str):
        return render(value)
    if isinstance(value, list):
        return [rendered_texts(each, render) for each in value]
    if isinstance(value, dict):
        return {key: rendered_texts(each, render) for key, each in value.items()}
    return value
