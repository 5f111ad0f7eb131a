"""The body of ``POST /eval``, checked field by field."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from flask_braintrust_evals.cloud.parents import Parent
from flask_braintrust_evals.engine.parameters.schemas import json_type
from flask_braintrust_evals.errors import RequestError

from .request_data import parse_data
from .spec import MAX_TRIALS, RunSpec
from .spec import RemoteScorer as RemoteScorerSpec

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

    name: Annotated[str, Field(min_length=1)]
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

    name: str
    data: Any = None
    parameters: dict[str, Any] | None = None
    scores: list[RemoteScorer] | None = None
    parent: dict[str, Any] | str | None = None
    experiment_name: str | None = None
    project_id: str | None = None
    stream: bool | None = None
    trial_count: Annotated[int, Field(ge=1, le=MAX_TRIALS)] | None = None
    max_concurrency: Annotated[int, Field(ge=1)] | None = Field(
        None, description="Cases at a time; null: as many as are allowed."
    )
    timeout: Annotated[float, Field(gt=0)] | None = Field(
        None, description="Milliseconds that the run may take."
    )
    metadata: dict[str, Any] | None = None
    tags: list[str] | None = None
    base_experiment_name: str | None = None
    base_experiment_id: str | None = None
    is_public: bool | None = None
    strict: bool | None = None
    case_results: bool | None = None
    """Beyond the protocol: send an event when a case starts, and one with all its results."""

    @classmethod
    def of(cls, body: Any) -> EvalRequest:
        """Check a body.

        Raises:
            RequestError: it is not an object, or a field is wrong; names the field, what was
                expected and what type was found.
        """
        if not isinstance(body, Mapping):
            raise RequestError(f"the body must be a JSON object, not {json_type(body)}")
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
    return list(explained.values())[:5]


def _path(location: tuple[int | str, ...]) -> str:
    path = ""
    for step in location:
        path += f"[{step}]" if isinstance(step, int) else f".{step}"
    return path.lstrip(".")
