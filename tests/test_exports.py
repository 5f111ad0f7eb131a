"""What users import: complete, sorted, typed; and which way the imports inside point."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
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


def test_errors_that_users_meet_in_their_own_code_can_be_imported() -> None:
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


def imports_of(file: Path) -> Iterator[str]:
    """The absolute names of what a module imports."""
    package = ["flask_braintrust_evals", *file.relative_to(ROOT).parts[:-1]]
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{source}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize(
    ("room", "forbidden"),
    [
        ("engine", ("flask", "werkzeug", "flask_cors", "requests")),
        ("engine", ("flask_braintrust_evals.cloud", "flask_braintrust_evals.web")),
        ("engine", ("flask_braintrust_evals.blueprint", "flask_braintrust_evals.extension")),
        ("cloud", ("flask", "werkzeug", "flask_cors")),
        ("cloud", ("flask_braintrust_evals.engine", "flask_braintrust_evals.web")),
        ("cloud", ("flask_braintrust_evals.blueprint", "flask_braintrust_evals.extension")),
        ("web", ("flask_braintrust_evals.blueprint", "flask_braintrust_evals.extension")),
        ("contrib", ("flask", "flask_braintrust_evals.cloud", "flask_braintrust_evals.web")),
        ("engine", ("braintrust", "flask_braintrust_evals.contrib")),
        ("cloud", ("braintrust", "flask_braintrust_evals.contrib")),
        ("web", ("braintrust", "flask_braintrust_evals.contrib")),
    ],
)
def test_imports_point_one_way(room: str, forbidden: tuple[str, ...]) -> None:
    files = sorted((ROOT / room).rglob("*.py"))
    assert files
    found = [
        f"{file.name}: {name}"
        for file in files
        for name in imports_of(file)
        for each in forbidden
        if name == each or name.startswith(each + ".")
    ]
    assert found == []
