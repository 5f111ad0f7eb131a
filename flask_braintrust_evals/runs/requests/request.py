"""The body of ``POST /eval``, checked field by field."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from flask_braintrust_evals.cloud.parents import Parent
from flask_braintrust_evals.engine.parameters.schemas import json_type
from flask_braintrust_evals.errors import BodyTooLargeError, RequestError
from flask_braintrust_evals.runs.spec import MAX_SCORER_NAME, MAX_TRIALS, RunSpec
from flask_braintrust_evals.runs.spec import RemoteScorer as RemoteScorerSpec

from .request_data import MAX_NAME, parse_data

MAX_OTHER_VALUES = 20_000
"""JSON values that a body may have besides its cases. They are checked as a whole, before a run."""
MAX_SCORES = 100
"""Scorers of Braintrust's that a body may name: each case calls all of them at the same time."""
_MAX_ERRORS = 5
"""Fields that a message names."""
Name = Annotated[str, Field(max_length=MAX_NAME)]
_FUNCTION_ID_KEYS = (
    ("function_id",),
    ("project_name", "slug"),
    ("global_function",),
    ("prompt_session_id", "prompt_session_function_id"),
    ("inline_context", "code"),
    ("inline_function",),
    ("inline_prompt",),
)


class RemoteScorer(BaseModel):
    """A scorer saved in Braintrust: the name to show, and the id of its function."""

    model_config = ConfigDict(strict=True, extra="ignore")

    name: Annotated[str, Field(min_length=1, max_length=MAX_SCORER_NAME)]
    function_id: dict[str, Any] | str

    @field_validator("function_id")
    @classmethod
    def _known_form(cls, value: dict[str, Any] | str) -> dict[str, Any]:
        if isinstance(value, str):
            value = {"function_id": value}
        if not any(all(value.get(key) for key in keys) for keys in _FUNCTION_ID_KEYS):
            forms = ", ".join(" and ".join(keys) for keys in _FUNCTION_ID_KEYS)
            raise ValueError(f"should have one of: {forms}")
        return value

    def spec(self) -> RemoteScorerSpec:
        """Return the scorer for the specification of a run."""
        assert isinstance(self.function_id, dict)  # the validator has turned texts into dicts
        return RemoteScorerSpec(self.name, self.function_id)


class EvalRequest(BaseModel):
    """A request to run an evaluator. Unknown fields are ignored; optional ones may be ``null``."""

    model_config = ConfigDict(strict=True, extra="ignore")

    name: Name
    data: Any = None
    parameters: dict[str, Any] | None = None
    scores: Annotated[list[RemoteScorer], Field(fail_fast=True, max_length=MAX_SCORES)] | None = (
        None
    )
    parent: dict[str, Any] | str | None = None
    experiment_name: Name | None = None
    project_id: Name | None = None
    stream: bool | None = None
    trial_count: Annotated[int, Field(ge=1, le=MAX_TRIALS)] | None = None
    max_concurrency: Annotated[int, Field(ge=1)] | None = Field(
        None, description="Cases at a time; null: as many as are allowed."
    )
    timeout: Annotated[float, Field(gt=0)] | None = Field(
        None, description="Milliseconds that the run may take."
    )
    metadata: dict[str, Any] | None = None
    tags: Annotated[list[str], Field(fail_fast=True)] | None = None
    base_experiment_name: Name | None = None
    base_experiment_id: Name | None = None
    is_public: bool | None = None
    strict: bool | None = None
    case_results: bool | None = None
    """Beyond the protocol: send an event when a case starts, and one with all its results."""
    case_spans: bool | None = None
    """Likewise, and with ``case_results`` only: send one with the spans of a case."""

    @classmethod
    def of(cls, body: Any) -> EvalRequest:
        """Check a body.

        Raises:
            RequestError: it is not an object, or a field is wrong; names the field, what was
                expected and what type was found.
            BodyTooLargeError: it has too many values besides its cases.
        """
        if not isinstance(body, Mapping):
            raise RequestError(f"the body must be a JSON object, not {json_type(body)}")
        _check_size(body)
        try:
            return cls.model_validate(body)
        except ValidationError as error:
            raise RequestError("; ".join(_explain(error))) from None

    def spec(self) -> RunSpec:
        """Return the specification of the run: all but the evaluator's name and the answer's form.

        Raises:
            RequestError: ``data`` or ``parent`` is wrong.
        """
        return RunSpec(
            data=parse_data(self.data),
            parameters=self.parameters,
            scores=[each.spec() for each in self.scores or ()],
            parent=None if self.parent is None else Parent.of(self.parent),
            experiment_name=self.experiment_name,
            project_id=self.project_id,
            trial_count=self.trial_count,
            max_concurrency=self._max_concurrency(),
            timeout=None if self.timeout is None else self.timeout / 1000,
            metadata=self.metadata,
            tags=self.tags,
            base_experiment_name=self.base_experiment_name,
            base_experiment_id=self.base_experiment_id,
            is_public=self.is_public,
            strict=self.strict,
        )

    def _max_concurrency(self) -> float | None:
        if self.max_concurrency is None and "max_concurrency" in self.model_fields_set:
            return math.inf
        return self.max_concurrency


def _check_size(body: Mapping[str, Any]) -> None:
    """Count the values besides the cases, which are read one by one."""
    containers: list[Any] = [{key: value for key, value in body.items() if key != "data"}]
    count = 0
    for each in containers:  # the loop appends to it
        count += len(each)
        if count > MAX_OTHER_VALUES:
            raise BodyTooLargeError(
                f"the body has more than {MAX_OTHER_VALUES} JSON values outside of 'data', and may"
                " not have that many; send large values as cases, or in a dataset"
            )
        items = each.values() if type(each) is dict else each
        containers.extend(item for item in items if type(item) in (dict, list))


def _explain(error: ValidationError) -> list[str]:
    explained: dict[str, str] = {}
    for each in error.errors(include_url=False):
        # A union reports each of its members; pydantic names them after the field.
        path = _path(tuple(step for step in each["loc"] if step not in ("str", "dict[str,any]")))
        if each["type"] == "missing":
            explained[path] = f"{path}: required, but missing"
            continue
        message = each["msg"].removeprefix("Value error, ")
        message = message[0].lower() + message[1:]
        if path in explained:
            explained[path] += f" or {message}"
        else:
            explained[path] = f"{path}: got {json_type(each['input'])}; {message}"
    return list(explained.values())[:_MAX_ERRORS]


def _path(location: tuple[int | str, ...]) -> str:
    path = ""
    for step in location:
        path += f"[{step}]" if isinstance(step, int) else f".{step}"
    return path.lstrip(".")
