"""Which arguments of a model's call a caller's prompt may set."""

from __future__ import annotations

from typing import Any

import pytest

from flask_braintrust_evals import EvalsBlueprint, Evaluator, RegistrationError
from flask_braintrust_evals.engine.parameters.model_params import KNOWN_PARAMS
from flask_braintrust_evals.errors import RequestError

HOSTILE: dict[str, Any] = {
    "api_base": "https://evil.example",
    "base_url": "https://evil.example",
    "api_key": "sk-of-mallory",
    "extra_headers": {"X-Evil": "1"},
    "extra_body": {},
    "extra_query": {},
    "timeout": 1e9,
    "model": "other",
    "messages": [],
    "custom_llm_provider": "x",
    "span_info": {},
    "": 1,
    "Temperature": 1,
    "temperature ": 1,
}


def prompt(**params: Any) -> dict[str, Any]:
    return {
        "prompt": {"type": "completion", "content": "{{input}}"},
        "options": {"model": "m", "params": params},
    }


def evaluator(**spec: Any) -> Evaluator:
    def task(input: Any, hooks: Any) -> Any:
        call = hooks.parameters.p.build(input=input)
        del call["span_info"]
        return call

    return Evaluator("ask", task, parameters={"p": {"type": "prompt", **spec}})


def call(asked: Evaluator, given: Any = None) -> Any:
    parameters = None if given is None else {"p": given}
    (result,) = asked.run([{"input": "hi"}], parameters).results
    assert result.error is None, result.error
    return result.output


@pytest.mark.parametrize("param", HOSTILE)
@pytest.mark.parametrize("default", [None, prompt(temperature=0)])
def test_what_does_not_concern_the_model_is_refused(param: str, default: Any) -> None:
    asked = evaluator(default=default)
    with pytest.raises(RequestError) as refused:
        call(asked, prompt(temperature=1, **{param: HOSTILE[param]}))
    assert str(refused.value) == (
        f"parameter 'p': a prompt cannot set the param {param!r} of a model's call; leave it out,"
        " or allow it where the parameter is declared: 'extra_params'"
    )
    assert "evil" not in str(refused.value)


def test_all_params_of_the_playground_are_allowed() -> None:
    params = {name: 1 for name in KNOWN_PARAMS}
    params["response_format"] = {"type": "text"}  # type: ignore[assignment]
    built = call(evaluator(), prompt(**params))
    assert built.keys() - {"model", "prompt"} == KNOWN_PARAMS - {"use_cache"}


def test_the_sdk_knows_no_other_params() -> None:
    """A param that the SDK gets must be decided about here."""
    types = pytest.importorskip("braintrust._generated_types")
    names: set[str] = set()
    for name, kind in vars(types).items():
        if name.startswith("ModelParamsModelParams") and name.removeprefix(
            "ModelParamsModelParams"
        ) in ("", *"123456789"):
            names |= set(kind.__annotations__)
    assert len(names) > 10
    assert names == KNOWN_PARAMS


def test_params_of_the_own_default_are_allowed_as_they_are() -> None:
    own = prompt(api_base="https://models.internal", seed=7)
    asked = evaluator(default=own)
    assert call(asked)["api_base"] == "https://models.internal"
    assert call(asked, own)["seed"] == 7
    for other in ({"api_base": "https://evil.example"}, {"seed": 8}):
        with pytest.raises(RequestError, match="cannot set the param"):
            call(asked, prompt(**other))


def test_a_declaration_allows_further_params() -> None:
    asked = evaluator(extra_params=["seed", "logit_bias"])
    assert call(asked, prompt(seed=1, logit_bias={"5": 1}))["seed"] == 1
    with pytest.raises(RequestError, match="cannot set the param 'api_base'"):
        call(asked, prompt(seed=1, api_base="x"))


def test_null_is_no_param() -> None:
    assert "api_key" not in call(evaluator(), prompt(api_key=None))


@pytest.mark.parametrize("names", ["seed", 5, [5], [None]])
def test_further_params_that_are_no_names_are_a_wrong_declaration(names: Any) -> None:
    with pytest.raises(RegistrationError, match="'extra_params' must be a list of names"):
        evaluator(extra_params=names)


class Saved:
    """As ``load_parameters`` of the SDK returns it."""

    id = project_id = name = slug = version = "x"

    def __init__(self, data: dict[str, Any], default: Any = None) -> None:
        schema: dict[str, Any] = {"type": "object", "x-bt-type": "prompt"}
        if default is not None:
            schema["default"] = default
        self.schema = {"type": "object", "properties": {"p": schema}}
        self.data = data


@pytest.mark.parametrize(
    "saved",
    [Saved({"p": prompt(seed=7)}), Saved({}, prompt(seed=7)), Saved({"p": prompt(seed=7)}, {})],
)
def test_a_saved_prompt_is_held_to_the_same(saved: Saved) -> None:
    def task(input: Any, hooks: Any) -> Any:
        return hooks.parameters.p.build(input=input)

    asked = Evaluator("ask", task, parameters=saved)
    assert call(asked)["seed"] == 7
    assert call(asked, prompt(seed=7, temperature=1))["temperature"] == 1
    for other in ({"api_base": "x"}, {"seed": 8}):
        with pytest.raises(RequestError, match="cannot set the param"):
            call(asked, prompt(**other))


def test_a_declaration_shows_nothing_of_what_it_allows() -> None:
    bp = EvalsBlueprint("evals", __name__, evaluators=[evaluator(extra_params=["seed"])])
    from flask_braintrust_evals.web.descriptions.manifest import manifest

    assert "seed" not in str(manifest(bp.registry))
