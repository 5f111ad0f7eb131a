"""Templates of prompts, filled in: mustache, nunjucks, or none.

Both the template and the values may come from whoever is allowed to run evaluators, so neither
reaches more than the values themselves: they are turned into plain JSON values first, no partials
are read from disk, and nunjucks templates are rendered in a sandbox.

Mustache is rendered as the ``braintrust`` SDK does (its ``Prompt.build``) in a process that has
imported autoevals, and as the Playground does: nothing is escaped for HTML, which would reach the
model as ``&quot;``. Values are what Python's ``str()`` makes of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jinja2
import mstache
from jinja2.sandbox import ImmutableSandboxedEnvironment

FORMATS = ("mustache", "nunjucks", "none")

Render = Callable[[str], str]

_MISSING = object()


class TemplateError(ValueError):
    """A template cannot be rendered: it is malformed, or, in strict mode, names what is missing."""


def renderer(
    kind: str, values: Mapping[str, Any], *, strict: bool = False, as_json: bool = False
) -> Render:
    """Return a function that fills ``values`` into a template.

    Args:
        kind: one of :data:`FORMATS`.
        values: plain JSON values.
        strict: raise where the template names something that ``values`` do not have.
        as_json: for templates inside JSON: what is not a string is written as JSON.

    Raises (the function, not this one):
        TemplateError: the template cannot be rendered.
    """
    if kind == "none":
        return lambda template: template
    if kind == "nunjucks":
        return partial(_nunjucks, values, strict, as_json)
    return partial(_mustache, values, strict, as_json)


def _mustache(values: Mapping[str, Any], strict: bool, as_json: bool, template: str) -> str:
    def get(scope: Any, scopes: Sequence[Any], key: str | bytes, default: Any = None) -> Any:
        path = key.decode() if isinstance(key, bytes) else key
        found = _look_up(path, (*scopes, scope))
        if found is not _MISSING:
            return found
        if strict:
            raise TemplateError(f"the prompt's template names {path!r}, which has no value")
        return default

    try:
        return mstache.render(
            template,
            values,
            getter=get,
            resolver=lambda name: "",
            stringify=_to_json if as_json else _to_text,
            escape=bytes,
            lambda_render=None,
        )
    except (mstache.TokenException, mstache.TemplateRecursionError) as error:
        raise TemplateError(f"the prompt's template is malformed: {error}") from error


def _look_up(path: str, scopes: Sequence[Any]) -> Any:
    if path == ".":
        return scopes[-1]
    for scope in reversed(scopes):
        found = scope
        for step in path.split("."):
            if isinstance(found, Mapping):
                found = found.get(step, _MISSING)
            elif isinstance(found, list) and step.isdecimal() and int(step) < len(found):
                found = found[int(step)]
            else:
                found = _MISSING
        if found is not _MISSING:
            return found
    return _MISSING


def _to_text(value: Any, text: bool = True) -> bytes:
    return b"" if value is None else str(value).encode()


def _to_json(value: Any, text: bool = True) -> bytes:
    return _json_text(value).encode()


def _json_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _nunjucks(values: Mapping[str, Any], strict: bool, as_json: bool, template: str) -> str:
    environment = ImmutableSandboxedEnvironment(
        undefined=jinja2.StrictUndefined if strict else jinja2.ChainableUndefined,
        finalize=_json_text if as_json else None,
        keep_trailing_newline=True,
    )
    try:
        return environment.from_string(template).render(values)
    except Exception as error:  # also what the template's own expressions raise
        raise TemplateError(
            f"the prompt's template cannot be rendered: {type(error).__name__}: {error}"
        ) from error
