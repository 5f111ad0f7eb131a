"""Evaluators with parameters that are saved in Braintrust: see `SAVED` in conftest.py."""

# The SDK's types know only scorers of three arguments.
# mypy: disable-error-code="arg-type, list-item"

from typing import Any

from braintrust import Eval, load_parameters


def seen(input: Any, hooks: Any) -> Any:
    parameters = dict(hooks.parameters)
    main = parameters.pop("main", None)
    built = main and main.build(name="Ada")
    return {**parameters, "main": built and built["messages"]}


def is_dict(output: Any) -> bool:
    return isinstance(output, dict)


latest = load_parameters(project="saved", slug="config")
pinned = load_parameters(project="saved", slug="config", version="41")
production = load_parameters(project="saved", slug="config", environment="production")

Eval("saved", data=[], task=seen, scores=[is_dict], parameters=latest)
Eval("saved by id", data=[], task=seen, scores=[is_dict], parameters=load_parameters(id=latest.id))
Eval("saved version", data=[], task=seen, scores=[is_dict], parameters=pinned)
Eval("saved environment", data=[], task=seen, scores=[is_dict], parameters=production)
