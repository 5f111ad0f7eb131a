"""Prompts: objects that render what the Playground's prompt editor sends.

The data has the form of a prompt saved in Braintrust (``PromptData`` of its SDKs)::

    {"prompt": {"type": "chat",
                "messages": [{"role": "user", "content": "Hi {{name}}"}],
                "tools": "[...]"},
     "options": {"model": "gpt-6.1-terra", "params": {"temperature": 0}},
     "template_format": "mustache"}

or with ``{"type": "completion", "content": "..."}`` as the ``prompt``. Each of the three is
optional, and so are ``tools`` and ``params``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from flask_braintrust_evals.concurrency.turns import let_others_run
from flask_braintrust_evals.engine.values.copies import deep_copy
from flask_braintrust_evals.serialization.json_size import MAX_DEPTH, exceeds
from flask_braintrust_evals.serialization.json_writing import plain
from flask_braintrust_evals.serialization.plain_values import register_converter

from .attribute_dict import AttributeDict
from .prompt_templates import rendered_message, rendered_texts, response_schema
from .template_limits import Budget
from .templates import Render, renderer

MAX_JSON_VALUES = 20_000
"""JSON values of the tools of a prompt, or of the schema of its response."""
_NOT_FOR_MODELS = ("use_cache",)
"""Params for Braintrust's proxy. They are left out, as in the SDK."""


def without_nulls(value: Any) -> Any:
    """Return a JSON value without the entries of its objects that are null.

    The Playground rejects the whole list of evaluators if an optional entry of a default is null.
    """
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    return value


class PromptPart(AttributeDict):
    """A message of a prompt, all of its messages with its tools, or all of its data.

    Its fields are items and attributes; absent ones are ``None``.
    """

    def __getattr__(self, name: str) -> Any:
        return super().__getattr__(name) if name in self or name.startswith("__") else None

    def as_dict(self) -> dict[str, Any]:
        """Return the fields that there are, as plain dicts and lists."""
        fields: dict[str, Any] = plain(self)
        return fields

    def as_json(self, **options: Any) -> str:
        """Return the same as JSON text; ``options`` are those of ``json.dumps``."""
        return json.dumps(self.as_dict(), **options)


class Prompt:
    """A prompt with variables, and the options of the model it is meant for.

    It has the interface of the ``braintrust`` SDK's ``Prompt``, and ``isinstance`` takes it for one
    where the SDK is imported: code that checks the type of a parameter would else fall back to its
    default, and ignore what was edited in the Playground.

    Args:
        name: its name.
        data: its text and options, in the form of ``PromptData``; checked by the caller.

    Attributes:
        name: its name.
        slug: its name.
        id, project_id, version, description, tags: ``None``, since what comes as a parameter is not
            saved anywhere.
        defaults: an empty dict; arguments that :meth:`build` starts with.
        no_trace: whether :meth:`build` leaves ``span_info`` out.
    """

    id: str | None = None
    project_id: str | None = None
    version: str | None = None
    description: str | None = None
    tags: list[str] | None = None
    no_trace: bool = False

    def __init__(self, name: str, data: Mapping[str, Any]) -> None:
        self.name = name
        self.slug = name
        self.defaults: dict[str, Any] = {}
        self._data: dict[str, Any] = without_nulls(plain(data))
        self._is_own = False  # whether user code may have parts of the data

    def __repr__(self) -> str:
        return f"Prompt({self.name!r}, model={(self._data.get('options') or {}).get('model')!r})"

    @property
    def __class__(self) -> type:
        """The class that ``isinstance`` sees besides ``type(self)``: the SDK's, if imported."""
        return getattr(sys.modules.get("braintrust"), "Prompt", Prompt)

    @__class__.setter
    def __class__(self, kind: type) -> None:
        raise TypeError("the class of a prompt cannot be changed")

    @property
    def options(self) -> AttributeDict:
        """``model``, ``params`` and whatever else belongs to the call."""
        return AttributeDict(self._own_data().get("options") or {})

    @property
    def prompt(self) -> PromptPart | None:
        """The text, as ``type`` with ``messages`` and ``tools``, or with ``content``."""
        prompt = self._own_data().get("prompt")
        if prompt is None:
            return None
        messages = prompt.get("messages")
        if not isinstance(messages, list):
            return PromptPart(prompt)
        return PromptPart({**prompt, "messages": [PromptPart(each) for each in messages]})

    @property
    def prompt_data(self) -> PromptPart:
        """``prompt`` and ``options`` together."""
        return PromptPart({**self._own_data(), "prompt": self.prompt, "options": self.options})

    def __deepcopy__(self, memo: Any) -> Prompt:
        # Each case has a copy, and most tasks only build it: the data is copied when it is read.
        made = Prompt.__new__(Prompt)
        made.__dict__.update(self.__dict__, defaults=deep_copy(self.defaults), _is_own=False)
        if self._is_own:
            made._data = deep_copy(self._data)
        return made

    def _own_data(self) -> dict[str, Any]:
        """Return data of which user code may change any part."""
        if not self._is_own:
            self._data, self._is_own = deep_copy(self._data), True
        return self._data

    def __reduce__(self) -> Any:
        state = {"defaults": self.defaults, "no_trace": self.no_trace}
        return Prompt, (self.name, self._data), state

    def _keys(self) -> list[str]:
        is_completion = self.prompt is not None and self.prompt["type"] == "completion"
        return [*self.options, *(("prompt",) if is_completion else ("chat", "tools"))]

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys())

    def __len__(self) -> int:
        return len(self._keys())

    def __getitem__(self, name: str) -> Any:
        field = {"prompt": "content", "chat": "messages", "tools": "tools"}.get(name)
        if field is None:
            return self.options[name]
        return None if self.prompt is None else self.prompt.get(field)

    def build(self, **variables: Any) -> dict[str, Any]:
        """Fill in the variables, as the ``braintrust`` SDK's ``Prompt.build`` does.

        Args:
            variables: the values for the template. With ``strict=True`` among them, a name
                without a value is an error.

        Returns:
            the arguments for a call of an OpenAI client that is traced by the SDK. These are
            ``model``, the params, ``messages`` and ``tools`` (or ``prompt``), and ``span_info``
            with metadata for the span of the call.

        Raises:
            ValueError: there is no model or no prompt, or the template cannot be rendered.
        """
        options = self._data.get("options") or {}
        if options.get("model") is None:
            raise ValueError(f"prompt {self.name!r} names no model: set one in its options")
        prompt = self._data.get("prompt")
        if not prompt:
            raise ValueError(f"prompt {self.name!r} is empty")
        try:
            return self._build(prompt, options, variables)
        except ValueError as error:  # also for JSON that the template is rendered to
            raise ValueError(f"prompt {self.name!r} cannot be built: {error}") from error

    def _build(
        self, prompt: Mapping[str, Any], options: Mapping[str, Any], variables: dict[str, Any]
    ) -> dict[str, Any]:
        values = plain(variables, let_others_run)
        strict = bool(variables.get("strict", False))
        kind = self._data.get("template_format") or "mustache"
        budget = Budget()
        render = renderer(kind, values, strict=strict, budget=budget)
        render_json = renderer(kind, values, strict=strict, as_json=True, budget=budget)
        given = options.get("params") or {}
        # A copy: the caller may change the result, and all cases of a run share the prompt.
        params = deep_copy({k: v for k, v in given.items() if k not in _NOT_FOR_MODELS})
        about = {"variables": variables, "id": None, "project_id": None, "version": None}
        built: dict[str, Any] = {
            **self.defaults,
            **_with_response_schema(params, render_json),
            "model": str(options["model"]),
        }
        if not self.no_trace:
            built["span_info"] = {"metadata": {"prompt": about}}
        if prompt["type"] == "completion":
            built["prompt"] = render(prompt["content"])
            return built
        messages = deep_copy(prompt.get("messages") or [])
        built["messages"] = [rendered_message(each, render) for each in messages]
        tools = prompt.get("tools")
        if tools and tools.strip():
            built["tools"] = _parsed(render(tools), "its tools")
        return built


register_converter(Prompt, lambda prompt: prompt._data)


def _with_response_schema(params: dict[str, Any], render: Render) -> dict[str, Any]:
    """Return the params, with variables filled into the JSON Schema of the response, if any."""
    schema = response_schema(params)
    if schema is None:
        return params
    schema = rendered_texts(schema, render)
    if isinstance(schema, str):
        schema = _parsed(schema, "the schema of its response")
    asked = params["response_format"]
    described = {**asked["json_schema"], "schema": schema}
    return {**params, "response_format": {**asked, "json_schema": described}}


def _parsed(text: str, what: str) -> Any:
    """Return the value of a JSON text that a template was rendered to.

    A text of a caller counts as one value of the request, and may have very many in it.

    Raises:
        ValueError: it is not JSON, or has too many values or levels.
    """
    if exceeds(text.encode("utf-8", "surrogatepass"), MAX_JSON_VALUES) is not None:
        raise ValueError(
            f"{what} may have {MAX_JSON_VALUES} JSON values, in {MAX_DEPTH} levels, and have more"
        )
    return json.loads(text)
