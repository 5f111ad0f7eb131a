"""Limits the arguments of a model's call that a prompt may set to those of the Playground's editor.

``Prompt.build`` returns the arguments of a call, and what a caller puts among the params becomes
one of them. Clients of models take arguments that do not concern the model, such as the address
that the server's own key is sent to (``api_base``), headers, or a time-out.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from flask_braintrust_evals.errors import RegistrationError, RequestError
from flask_braintrust_evals.texts.excerpts import excerpt

# ModelParams in braintrust/_generated_types.py of the braintrust SDK.
KNOWN_PARAMS = frozenset(
    {
        "use_cache",
        "reasoning_enabled",
        "reasoning_budget",
        "reasoning_effort",
        "temperature",
        "top_p",
        "topP",
        "top_k",
        "topK",
        "max_tokens",
        "max_completion_tokens",
        "max_tokens_to_sample",
        "maxOutputTokens",
        "frequency_penalty",
        "presence_penalty",
        "response_format",
        "tool_choice",
        "function_call",
        "n",
        "stop",
        "stop_sequences",
        "chat_template_kwargs",
        "verbosity",
    }
)
"""The params that every caller may set."""


def check_params(
    value: Mapping[str, Any], name: str, declared: Any, extra: Collection[str] = ()
) -> None:
    """Check the params of a prompt that has the form of one.

    Args:
        value: the prompt, which may be a caller's.
        name: the name of the parameter, for messages.
        declared: the prompt that the application has declared, whose params are allowed as they
            are; ``None``: it has none.
        extra: names of further params that callers may set.

    Raises:
        RequestError: the prompt sets another param.
    """
    own = params_of(declared)
    for param, given in params_of(value).items():
        if param in KNOWN_PARAMS or param in extra or given is None:
            continue
        if param in own and own[param] == given:
            continue
        raise RequestError(
            f"parameter {name!r}: a prompt cannot set the param {excerpt(param)} of a model's call;"
            " leave it out, or allow it where the parameter is declared: 'extra_params'"
        )


def params_of(prompt: Any) -> Mapping[str, Any]:
    """Return the params of a prompt; empty if it has none."""
    options = prompt.get("options") if isinstance(prompt, Mapping) else None
    params = options.get("params") if isinstance(options, Mapping) else None
    return params if isinstance(params, Mapping) else {}


def extra_params(spec: Mapping[str, Any], where: str) -> tuple[str, ...]:
    """Return the ``extra_params`` of a declaration.

    Raises:
        RegistrationError: they are no list of names.
    """
    names = spec.get("extra_params") or ()
    is_list = isinstance(names, Collection) and not isinstance(names, str)
    if not is_list or not all(isinstance(each, str) for each in names):
        raise RegistrationError(f"{where}: 'extra_params' must be a list of names, not {names!r}")
    return tuple(names)
