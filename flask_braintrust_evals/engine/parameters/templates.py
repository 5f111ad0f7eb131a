"""Renders the templates of prompts: mustache, nunjucks, or none.

Both the template and the values may come from any user who may run evaluators, so a template has
access to the values only: these are plain JSON values, no partials are read from disk, and nunjucks
templates are rendered in a sandbox. The work that a template may cause is limited.

Mustache is rendered as by the Playground, and as by the ``braintrust`` SDK's ``Prompt.build`` in a
process that has imported autoevals: nothing is escaped for HTML, since the model would get
``&quot;`` for a quotation mark. Values are written by Python's ``str()``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import jinja2
import mstache

from flask_braintrust_evals.texts.error_texts import error_text

from . import nunjucks
from .template_limits import Budget, TemplateLimitError

Render = Callable[[str], str]

_MISSING = object()
_KINDS = b"!#&/=>^{"
"""The first characters of tags, except of those that are names."""
_BEFORE_CLOSING = {b"{": b"}", b"=": b"="}
"""What tags of some kinds have before their closing delimiter."""
_WORD = re.compile(rb"[^ ]+")
_WHITESPACE = re.compile(rb"\s")
_MAX_DIGITS = 9
"""Digits of an index into a list."""


class TemplateError(ValueError):
    """A template cannot be rendered: it is malformed, or in strict mode a value is missing."""


def renderer(
    kind: str,
    values: Mapping[str, Any],
    *,
    strict: bool = False,
    as_json: bool = False,
    budget: Budget | None = None,
) -> Render:
    """Return a function that fills ``values`` into a template.

    Args:
        kind: ``"mustache"``, ``"nunjucks"`` or ``"none"``.
        values: plain JSON values.
        strict: whether a name without a value is an error.
        as_json: whether values that are not strings are written as JSON, for templates in JSON.
        budget: what all templates that are rendered may cost together; ``None``: one of their own.

    Returns:
        the function. It raises :class:`TemplateError` if the template cannot be rendered.
    """
    if kind == "none":
        return lambda template: template
    render = _nunjucks if kind == "nunjucks" else _mustache
    return partial(render, values, strict, as_json, budget or Budget())


def check_templates(kind: str, templates: Iterable[str]) -> None:
    """Check that the templates of a prompt can be rendered, as far as this depends on no value.

    Args:
        kind: as for :func:`renderer`.
        templates: the templates.

    Raises:
        TemplateError: one of them cannot.
    """
    budget = _WithoutPauses()
    render = renderer(kind, {}, budget=budget)
    for template in templates:
        if kind != "nunjucks":
            render(template)
            continue
        # Rendered without values, it could fail where it computes with one.
        try:
            nunjucks.check(template, budget)
        except Exception as error:
            raise _nunjucks_error(error) from error


class _WithoutPauses(Budget):
    """A budget for templates of the application itself, used where modules are imported.

    Other greenlets are not to run there: in a process that is forked later, it would get a hub.
    """

    def pause(self) -> None:
        pass


def _mustache(
    values: Mapping[str, Any], strict: bool, as_json: bool, budget: Budget, template: str
) -> str:
    def get(scope: Any, scopes: Sequence[Any], key: str | bytes, default: Any = None) -> Any:
        path = key.decode() if isinstance(key, bytes) else key
        found = _look_up(path, (*scopes, scope), budget)
        if isinstance(found, list):
            return _CountedList(found, budget)
        if found is not _MISSING:
            return found
        if strict:
            raise TemplateError(f"the template names {path!r}, which has no value")
        return default

    def write(value: Any, text: bool = True) -> bytes:
        budget.read(value)
        if as_json:
            return _json_text(value).encode()
        return b"" if value is None else str(value).encode()

    try:
        budget.begin(template)
        kinds = _kinds_of_tags(template.encode())
        budget.tags(len(kinds))
        # The library keeps the text of each section, that of the sections in it included.
        budget.write(len(template) * (kinds.count(b"#") + kinds.count(b"^")))
        parts = []
        for part in mstache.stream(
            template,
            values,
            getter=get,
            resolver=lambda name: "",
            stringify=write,
            escape=bytes,
            lambda_render=None,
            cache={},  # the library's own cache would keep the templates of all callers
        ):
            budget.write(len(part))
            parts.append(part)
        return "".join(parts)
    except (mstache.TokenException, mstache.TemplateRecursionError) as error:
        raise TemplateError(f"the template is malformed: {error}") from error
    except TemplateLimitError as error:
        raise TemplateError(f"the template cannot be rendered: {error}") from error


def _kinds_of_tags(template: bytes) -> list[bytes]:
    """Return the first character of each tag, which says its kind, as the library reads them.

    Raises:
        TemplateError: the template sets delimiters that have whitespace.
    """
    kinds: list[bytes] = []
    opening, closing = b"{{", b"}}"
    place = 0
    while (place := template.find(opening, place)) >= 0:
        place += len(opening)
        kind = template[place : place + 1]
        kinds.append(kind)
        last = _BEFORE_CLOSING.get(kind, b"") + closing
        begin = place + (kind in _KINDS)
        place = template.find(last, begin)
        if place < 0:
            break  # which the library refuses
        if kind == b"=":
            delimiters = _WORD.findall(template, begin, place)[:2]
            # The library skips whitespace at the ends of lines, which could begin a tag.
            if len(delimiters) < 2 or any(map(_WHITESPACE.search, delimiters)):
                raise TemplateError(
                    "the template is malformed: a tag must set two delimiters, in one line"
                )
            opening, closing = delimiters
        place += len(last)
    return kinds


class _CountedList(list[Any]):
    """A list each of whose items is a step where a section goes over it."""

    def __init__(self, items: list[Any], budget: Budget) -> None:
        super().__init__(items)
        self._budget = budget

    def __iter__(self) -> Iterator[Any]:
        return self._budget.counted(super().__iter__())


def _look_up(path: str, scopes: Sequence[Any], budget: Budget) -> Any:
    budget.step()
    if path == ".":
        return scopes[-1]
    steps = path.split(".")
    for scope in reversed(scopes):
        found = scope
        for step in steps:
            budget.step()
            found = _item(found, step)
            if found is _MISSING:
                break
        else:
            return found
    return _MISSING


def _item(value: Any, step: str) -> Any:
    if isinstance(value, Mapping):
        return value.get(step, _MISSING)
    is_index = isinstance(value, list) and len(step) <= _MAX_DIGITS and step.isdecimal()
    return value[int(step)] if is_index and int(step) < len(value) else _MISSING


def _json_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _nunjucks(
    values: Mapping[str, Any], strict: bool, as_json: bool, budget: Budget, template: str
) -> str:
    finalize = _json_text if as_json else None
    try:
        return nunjucks.render(template, values, budget, strict=strict, finalize=finalize)
    except Exception as error:  # the template's expressions may raise anything
        raise _nunjucks_error(error) from error


def _nunjucks_error(error: Exception) -> TemplateError:
    line = f", in line {error.lineno}" if isinstance(error, jinja2.TemplateSyntaxError) else ""
    return TemplateError(f"the template cannot be rendered{line}: {error_text(error)}")
