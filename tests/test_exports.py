"""What users import: complete, sorted and typed."""

from __future__ import annotations

import ast
import re
from importlib import import_module, resources
from pathlib import Path

import pytest

import flask_braintrust_evals
from flask_braintrust_evals import errors

ROOT = Path(flask_braintrust_evals.__file__).parent
PROMISED = (
    "Classification EvalCase EvalHooks EvalResult Evaluator EvalsBlueprint Score Session evals_bp"
    " DuplicateEvaluatorError"
).split()


def test_the_names_that_users_import_are_listed_in_order_and_once() -> None:
    names = flask_braintrust_evals.__all__
    assert names == sorted(set(names))


def test_every_listed_name_is_there_and_shown() -> None:
    assert {*flask_braintrust_evals.__all__} <= {*dir(flask_braintrust_evals)}
    for name in flask_braintrust_evals.__all__:
        assert getattr(flask_braintrust_evals, name) is not None


def test_type_checkers_see_the_names_that_are_listed() -> None:
    tree = ast.parse((ROOT / "__init__.py").read_text("utf-8"))
    (checked,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.name: f"{flask_braintrust_evals.__name__}.{node.module}"
        for node in checked.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert {*seen, "__version__"} == {*flask_braintrust_evals.__all__}
    for name, module in seen.items():
        assert getattr(flask_braintrust_evals, name) is getattr(import_module(module), name)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'flask_braintrust_evals' has no attribute 'Nothing'"):
        _ = flask_braintrust_evals.Nothing
    with pytest.raises(ImportError, match="Nothing"):
        exec("from flask_braintrust_evals import Nothing")


@pytest.mark.parametrize("name", PROMISED)
def test_what_is_promised_is_there(name: str) -> None:
    assert name in flask_braintrust_evals.__all__


def test_a_star_import_gives_the_listed_names() -> None:
    scope: dict[str, object] = {}
    exec("from flask_braintrust_evals import *", scope)
    assert scope.keys() - {"__builtins__"} == set(flask_braintrust_evals.__all__)


def test_errors_that_users_may_catch_can_be_imported() -> None:
    for name in (
        "ConfigurationError",
        "RegistrationError",
        "RegistrationClosedError",
        "EvalsError",
    ):
        assert getattr(flask_braintrust_evals, name) is getattr(errors, name)


def test_every_error_is_one_of_ours() -> None:
    for value in vars(errors).values():
        if isinstance(value, type) and issubclass(value, Exception):
            assert issubclass(value, errors.EvalsError)
            assert 400 <= value.status < 600


def test_the_package_is_typed() -> None:
    assert (resources.files("flask_braintrust_evals") / "py.typed").is_file()
    assert '"py.typed"' in (ROOT.parent / "setup.py").read_text("utf-8")


def test_the_version_is_one() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc|\.dev)\d+)?", flask_braintrust_evals.__version__)
