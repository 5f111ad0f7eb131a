"""Templates of prompts, filled in: mustache, nunjucks, or none.

Both the template and the values may come from whoever is allowed to run evaluators, so neither
reaches more than the values themselves: they are turned into plain JSON values first, no partials
are read from disk, nunjucks templates are rendered in a sandbox, and what a template may do is
bounded.

Mustache is rendered as the ``braintrust`` SDK does (its ``Prompt.build``) in a process that has
imported autoevals, and as the Playground does: nothing is escaped for HTML, which would reach the
model as ``&quot;``. Values are what Python's ``str()`` makes of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import mstache

from . import nunjucks

MOST_LOOKUPS = 100_000
"""Names that one mustache template may look up: a bound for loops inside of loops."""

Render = Callable[[str], str]

_MISSING = object()


class TemplateError(ValueError):
    """A template cannot be rendered: it is malformed, or, in strict mode, names what is missing."""


def renderer(
    kind: str, values: Mapping[str, Any], *, strict: bool = False, as_json: bool = False
) -> Render:
    """Return a function that fills ``values`` into a template.

    Args:
        kind: ``"mustache"``, ``"nunjucks"`` or ``"none"``.
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
    lookups = 0

    def get(scope: Any, scopes: Sequence[Any], key: str | bytes, default: Any = None) -> Any:
        nonlocal lookups
        lookups += 1
        if lookups > MOST_LOOKUPS:
            raise TemplateError(f"the template looks up more than {MOST_LOOKUPS} names")
        path = key.decode() if isinstance(key, bytes) else key
        found = _look_up(path, (*scopes, scope))
        if found is not _MISSING:
            return found
        if strict:
            raise TemplateError(f"the template names {path!r}, which has no value")
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
            cache={},  # templates come from callers: none is kept
        )
    except (mstache.TokenException, mstache.TemplateRecursionError) as error:
        raise TemplateError(f"the template is malformed: {error}") from error


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
    finalize = _json_text if as_json else None
    try:
        return nunjucks.render(template, values, strict=strict, finalize=finalize)
    except Exception as error:  # also what the template's own expressions raise
        raise TemplateError(
            f"the template cannot be rendered: {type(error).__name__}: {error}"
        ) from error
