"""What users import: complete, sorted and typed."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from types import ModuleType

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


def test_every_public_name_is_listed_and_every_listed_name_is_there() -> None:
    public = {
        name
        for name, value in vars(flask_braintrust_evals).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    assert public | {"__version__"} == set(flask_braintrust_evals.__all__)


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
