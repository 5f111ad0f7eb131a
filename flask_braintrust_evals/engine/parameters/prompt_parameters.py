"""Parameters that are prompts: their declaration, and the form of their values."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from flask_braintrust_evals.errors import RegistrationError, RequestError
from flask_braintrust_evals.serialization.json_writing import plain
from flask_braintrust_evals.texts.excerpts import excerpt, shortened
from flask_braintrust_evals.texts.suggestions import is_misspelled

from .model_params import KNOWN_PARAMS, check_params, extra_params
from .prompt_templates import templates_of
from .prompts import Prompt, without_nulls
from .pydantic_errors import first_errors, found
from .schemas import path_text
from .template_limits import TemplateLimitError
from .templates import TemplateError, check_templates
from .values import UNSET, Parameter, check_default

logger = logging.getLogger("flask_braintrust_evals")

_QUOTED = re.compile(r"""\{\{\s*["'][^}]*\}\}""")
"""A variable whose name begins with a quote, as does an object of JSON in double braces."""


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")


class _Message(_Part):
    role: str
    content: str | list[str | dict[str, Any]] | None = None
    tool_calls: list[dict[str, Any]] | None = None


class _Chat(_Part):
    type: Literal["chat"]
    messages: list[_Message] = Field(default_factory=list)
    tools: str | None = None


class _Completion(_Part):
    type: Literal["completion"]
    content: str


class _Options(_Part):
    model: str | None = None
    params: dict[str, Any] | None = None


class _PromptData(_Part):
    """The form of a prompt. Fields that are not declared here are kept."""

    prompt: Annotated[_Chat | _Completion, Field(discriminator="type")] | None = None
    options: _Options | None = None
    template_format: Literal["mustache", "nunjucks", "none"] | None = None


_PLACES = {
    "messages": "prompt",
    "content": "prompt",
    "tools": "prompt",
    "model": "options",
    "params": "options",
}
"""Where a default has what is easily written one level too high, where nothing would read it."""
_KEYS = (
    ("prompt", "options", "template_format"),
    ("type", "messages", "tools", "content"),
    ("model", "params"),
)
"""What is read of a default, of its ``prompt`` and of its ``options``."""


def check_prompt(value: Any, name: str) -> None:
    """Check that the JSON value of a parameter has the form of a prompt.

    Raises:
        RequestError: it has not; the message names the parameter, the place and what is expected.
    """
    try:
        _PromptData.model_validate(value)
    except ValidationError as error:
        (first,) = first_errors(error, 1)
        path = path_text(step for step in first["loc"] if not _is_union_member(step))
        message = first["msg"][:1].lower() + first["msg"][1:]
        if first["type"] == "model_type":
            message = "input should be an object"
        elif first["type"] == "union_tag_not_found":
            message = "it needs a 'type', which is 'chat' or 'completion'"
        kind = found(first)
        raise RequestError(
            shortened(f"parameter {name!r}{path}: not a prompt: {message}")
            + (f" (got {kind})" if kind else "")
        ) from None


def prompt_parameter(name: str, spec: Mapping[str, Any], where: str) -> Parameter:
    """Declare a parameter that is a prompt.

    Args:
        name: the parameter's name.
        spec: optionally with ``name`` (the prompt's own), ``default`` (in the form that
            :mod:`.prompts` describes, or as the SDK's ``PromptData``), ``description``, and
            ``extra_params``, see :mod:`.model_params`.
        where: the evaluator and the parameter, for messages.

    Raises:
        RegistrationError: the declaration is not valid.
    """
    own_name = spec.get("name")
    if own_name is not None and not isinstance(own_name, str):
        raise RegistrationError(f"{where}: 'name' must be a string, not {own_name!r}")

    extra = extra_params(spec, where)
    given = spec.get("default")
    default = None if given is None else without_nulls(plain(given))
    if isinstance(default, str) and not isinstance(given, str):
        raise RegistrationError(
            f"{where}: wrong default: {excerpt(given)} is not the data of a prompt; give a dict, or"
            " the SDK's PromptData, which a prompt of load_prompt(...) has as its prompt_data"
        )

    def parse(value: Any) -> Prompt:
        check_prompt(value, name)
        check_params(value, name, default, extra)
        return Prompt(own_name or name, value)

    if default is not None:
        check_default(default, parse, where)
        _check_keys(default, where)
        _check_templates(default, where)
    return Parameter(
        name,
        "prompt",
        {},
        parse,
        UNSET if default is None else default,
        spec.get("description"),
        null_is_absent=True,
    )


def _check_keys(default: Mapping[str, Any], where: str) -> None:
    """Refuse keys of a default that would be ignored by mistake, and warn of misplaced params."""
    if "prompt_data" in default and "prompt" not in default:
        raise RegistrationError(
            f"{where}: wrong default: it is a whole saved prompt; give its 'prompt_data'"
        )
    prompt, options = (default.get(each) or {} for each in ("prompt", "options"))
    for key, place in _PLACES.items():
        if key in default and key not in (default.get(place) or {}):
            raise RegistrationError(f"{where}: wrong default: {key!r} belongs in {place!r}")
    params = [key for key in options if key in KNOWN_PARAMS]
    if params:  # which a task may read itself
        logger.warning(
            "%s: build() ignores %s in the 'options' of its default; params for the model belong in"
            " the 'params' of 'options'",
            where,
            ", ".join(map(repr, params)),
        )
    for part, known in zip((default, prompt, options), _KEYS, strict=True):
        for key in part:
            meant = next((each for each in known if is_misspelled(key, each)), None)
            if meant is not None and key not in known and meant not in part:
                raise RegistrationError(
                    f"{where}: wrong default: no key {key!r}; did you mean {meant!r}?"
                )


def _check_templates(default: Mapping[str, Any], where: str) -> None:
    """Warn of templates that build() cannot render, and of those probably meant as text.

    A task may read the templates itself, and fill them in by other means.
    """
    kind = default.get("template_format") or "mustache"
    templates = templates_of(default)
    try:
        check_templates(kind, templates)
    except TemplateError as error:
        is_limit = isinstance(error.__cause__, TemplateLimitError)
        others = "'template_format' can be 'mustache', 'nunjucks' or 'none'"
        language = f", whose language is {kind} ({others})"
        logger.warning(
            "%s: build() fails with its default%s: %s",
            where,
            "" if is_limit else language,
            shortened(str(error)),
        )
        return
    for template in templates if kind == "mustache" else ():
        quoted = None if "{{=" in template else _QUOTED.search(template)
        if quoted is not None:
            logger.warning(
                "%s: in its default, %s is a variable, for which empty text is written; if it is"
                " meant as text, write '{ {', or set other delimiters, as in {{=<< >>=}}",
                where,
                excerpt(quoted[0]),
            )


def _is_union_member(step: str | int) -> bool:
    """Return whether a step of a path is a type that pydantic tried, not a part of the value."""
    return isinstance(step, str) and (
        step in ("chat", "completion", "str") or step.startswith(("list[", "dict["))
    )
