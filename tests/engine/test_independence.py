"""The rule of the house: imports point one way, and only the door knows Flask."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import flask_braintrust_evals

(_directory,) = flask_braintrust_evals.__path__
PACKAGE = Path(_directory)
NAME = PACKAGE.name
MODULES = sorted(PACKAGE.rglob("*.py"))
DOOR = ("blueprint.py", "extension.py", "views.py", "cli", "web")
ABOVE = ("runs", "web", "cli")

FORBIDDEN = {
    "engine": ("flask", "werkzeug", "requests", *(f"{NAME}.{room}" for room in ("cloud", *ABOVE))),
    "cloud": ("flask", "werkzeug", *(f"{NAME}.{room}" for room in ("engine", *ABOVE))),
    "runs": ("flask", "werkzeug", f"{NAME}.web", f"{NAME}.cli"),
    "web": (f"{NAME}.cli",),
    "cli": (f"{NAME}.web",),
    "contrib": ("flask", "werkzeug", *(f"{NAME}.{room}" for room in ABOVE)),
}


def imports(source: str, package: str) -> Iterator[str]:
    """Every name that a module imports, wherever in it, as from the top."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            parts = (above if node.level else []) + ([node.module] if node.module else [])
            base = ".".join(parts)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def imports_of(module: Path) -> set[str]:
    package = ".".join((NAME, *module.relative_to(PACKAGE).parent.parts))
    return set(imports(module.read_text("utf-8"), package))


def knows(names: set[str], forbidden: str) -> set[str]:
    found = {name for name in names if name == forbidden or name.startswith(f"{forbidden}.")}
    if forbidden == "flask":  # its extensions too
        found |= {name for name in names if name.startswith("flask_")} - {
            name for name in names if name == NAME or name.startswith(f"{NAME}.")
        }
    return found


def label(module: Path) -> str:
    return str(module.relative_to(PACKAGE))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import flask", {"flask"}),
        ("import flask.views as v", {"flask.views"}),
        ("def f():\n    from flask import g", {"flask", "flask.g"}),
        ("from . import cases", {"p.engine", "p.engine.cases"}),
        ("from .cases import A", {"p.engine.cases", "p.engine.cases.A"}),
        ("from .. import web", {"p", "p.web"}),
        ("from ..web import sse", {"p.web", "p.web.sse"}),
    ],
)
def test_imports_are_found_in_every_form(source: str, expected: set[str]) -> None:
    assert set(imports(source, "p.engine")) == expected


@pytest.mark.parametrize("room", FORBIDDEN)
def test_a_room_imports_nothing_it_must_not_know(room: str) -> None:
    modules = [module for module in MODULES if module.relative_to(PACKAGE).parts[0] == room]

    assert len(modules) > 5
    for module in modules:
        for forbidden in FORBIDDEN[room]:
            assert knows(imports_of(module), forbidden) == set(), label(module)


def test_only_the_door_imports_flask() -> None:
    inside: list[str] = []
    door: list[str] = []
    for module in MODULES:
        at_door = module.relative_to(PACKAGE).parts[0] in DOOR
        if knows(imports_of(module), "flask"):
            (door if at_door else inside).append(label(module))

    assert inside == []
    assert "blueprint.py" in door
