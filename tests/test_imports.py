"""Which modules import which: packages depend one way, and nothing depends on itself."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import flask_braintrust_evals

(_directory,) = flask_braintrust_evals.__path__
PACKAGE = Path(_directory)
NAME = PACKAGE.name
FLASK = ("flask", "werkzeug")
EDGE = (
    "blueprint",
    "extension",
    "cli",
    "web",
    "pytest_plugin",
)
"""The modules and packages that may know Flask."""

FORBIDDEN: Mapping[str, tuple[str, ...]] = {
    "texts": (*FLASK, "requests", "braintrust"),
    "serialization": (*FLASK, "requests", "braintrust"),
    "config": (*FLASK, "requests", "braintrust"),
    "playground": (*FLASK, "requests", "braintrust"),
    "extension": ("braintrust",),
    "blueprint": ("braintrust",),
    "concurrency": (*FLASK, "requests", "braintrust"),
    "tracing": (*FLASK, "requests", "braintrust"),
    "engine": (*FLASK, "requests", "braintrust"),
    "cloud": (*FLASK, "braintrust"),
    "distribution": (*FLASK, "requests", "braintrust", "celery", "kombu"),
    "runs": (*FLASK, "braintrust", "celery", "kombu"),
    "web": ("braintrust",),
    "cli": ("braintrust",),
    "contrib": FLASK,
}
"""The libraries that the modules of a package must not import."""

GROUND = {"concurrency", "errors", "texts", "serialization"}
ALLOWED: Mapping[str, set[str]] = {
    "texts": set(),
    "concurrency": {"texts"},
    "serialization": {"concurrency", "errors", "texts"},
    "config": {"errors"},
    "playground": set(),
    "tracing": GROUND | {"_version"},
    "engine": GROUND | {"tracing"},
    "cloud": GROUND | {"tracing"},
    "distribution": GROUND | {"tracing", "engine", "_version"},
    "contrib": GROUND | {"tracing", "engine", "distribution"},
    "runs": GROUND | {"tracing", "engine", "distribution", "cloud", "config"},
    "web": GROUND | {"tracing", "engine", "cloud", "config", "runs", "playground", "_version"},
    "cli": GROUND
    | {
        "tracing",
        "engine",
        "distribution",
        "cloud",
        "config",
        "runs",
        "playground",
        "_version",
        "extension",
    },
    "extension": GROUND
    | {"tracing", "engine", "distribution", "cloud", "config", "runs", "web", "contrib"},
    "blueprint": GROUND
    | {"tracing", "engine", "config", "runs", "web", "cli", "contrib", "extension"},
}
"""What the modules of a package may import of the others."""

PARTS = {
    "concurrency": (
        "gevent_patch",
        "turns",
        "signals",
        "timers",
        "time_limit",
        "cancellation",
        "channel",
        "places",
        "held_scope",
        "job",
        "one_thread",
        "logging_locks",
        "real_threads",
        "processes",
        "owner_queue",
        "native_threads",
        "loops",
    ),
    "engine": (
        "values",
        "calls",
        "parameters",
        "tracing",
        "running",
        "evaluator",
        "naming",
        "registry",
    ),
    "engine.running": (
        "user_code",
        "scoring",
        "cases",
        "sources",
        "run_state",
        "event_flow",
        "open_cases",
        "run_users",
        "run_workers",
        "run",
        "local_executor",
        "local_run",
    ),
    "distribution": ("messaging", "worker", "owner"),
    "cloud": (
        "http",
        "sessions",
        "attachments",
        "functions",
        "objects",
        "parents",
        "rows",
        "uploads",
        "tracing",
    ),
    "runs": (
        "spec",
        "probe",
        "limits",
        "endpoints",
        "call_room",
        "remote_scorers",
        "sources",
        "requests",
        "experiments",
        "remote",
        "host",
        "worker_cases",
        "prepared",
        "prepare",
        "peers",
    ),
    "web": ("requests", "access", "monitoring", "answers", "descriptions", "page"),
    "cli": (
        "terminal",
        "stored_results",
        "inputs",
        "judging",
        "running",
        "reports",
        "servers",
        "commands",
    ),
}
"""The parts of packages, each of which imports only those before it."""


def statements(node: ast.AST) -> Iterator[ast.AST]:
    """Every statement in a node. To walk its expressions too takes nine times as long."""
    for field in ("body", "orelse", "finalbody", "handlers", "cases"):
        for child in getattr(node, field, ()):
            yield child
            yield from statements(child)


def imports(source: str, package: str) -> Iterator[str]:
    """Every name that a module imports, wherever in it, as from the top."""
    for node in statements(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            parts = (above if node.level else []) + ([node.module] if node.module else [])
            yield from (".".join((*parts, alias.name)) for alias in node.names)


def module_of(name: str, modules: Mapping[str, object]) -> str | None:
    """The module that an imported name is, or is defined in; None: it is not one of ours."""
    if name in modules:
        return name
    above = name.rpartition(".")[0]
    return above if above in modules else None


def find_cycle(graph: Mapping[str, set[str]]) -> list[str]:
    """A path of modules that leads from one of them back to it; empty: there is none."""
    done: set[str] = set()

    def follow(module: str, path: list[str]) -> list[str]:
        if module in path:
            return [*path[path.index(module) :], module]
        if module not in done:
            for target in sorted(graph.get(module, ())):
                if cycle := follow(target, [*path, module]):
                    return cycle
            done.add(module)
        return []

    return next(filter(None, (follow(module, []) for module in sorted(graph))), [])


def name_of(file: Path) -> str:
    """The name of the module that a file is."""
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    return ".".join((NAME, *(parts[:-1] if parts[-1] == "__init__" else parts)))


def imports_of(file: Path) -> set[str]:
    """Every name that the module of a file imports."""
    package = ".".join((NAME, *file.relative_to(PACKAGE).parent.parts))
    return {*imports(file.read_text("utf-8"), package)}


FILES = {name_of(file): file for file in sorted(PACKAGE.rglob("*.py"))}


@functools.cache
def all_imports() -> Mapping[str, set[str]]:
    """What each module imports, by name."""
    return {module: imports_of(file) for module, file in FILES.items()}


@functools.cache
def all_edges() -> Mapping[str, set[str]]:
    """Which of our modules each module imports."""
    return {
        module: {target for name in names if (target := module_of(name, FILES))}
        for module, names in all_imports().items()
    }


def below(package: str) -> list[str]:
    """The modules of a package of ours."""
    top = f"{NAME}.{package}"
    return [module for module in FILES if module == top or module.startswith(f"{top}.")]


def part_of(module: str, package: str = NAME) -> str:
    """The first name of a module below a package; empty for the package itself."""
    return module.removeprefix(package).removeprefix(".").partition(".")[0]


def libraries(module: str) -> set[str]:
    """The libraries that a module imports; an extension of Flask counts as Flask."""
    top = {name.partition(".")[0] for name in all_imports()[module]} - {NAME}
    return {"flask" if name.startswith("flask_") else name for name in top}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import flask", {"flask"}),
        ("import flask.views as v", {"flask.views"}),
        ("def f():\n    from flask import g", {"flask.g"}),
        ("from . import cases", {"p.engine.cases"}),
        ("from .cases import A, B", {"p.engine.cases.A", "p.engine.cases.B"}),
        ("from .. import web", {"p.web"}),
        ("from ..web import sse", {"p.web.sse"}),
        ("if TYPE_CHECKING:\n    from p.web import *", {"p.web.*"}),
        ("try:\n    import a\nexcept E:\n    import b\nelse:\n    import c", {"a", "b", "c"}),
        (
            "try:\n    pass\nfinally:\n    for x in y:\n        pass\n    else:\n        import a",
            {"a"},
        ),
        ("match x:\n    case 1:\n        with y:\n            import a", {"a"}),
    ],
)
def test_imports_are_found_in_every_form(source: str, expected: set[str]) -> None:
    assert set(imports(source, "p.engine")) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("p", "p"),
        ("p.web", "p.web"),
        ("p.web.sse", "p.web.sse"),
        ("p.web.sse.Stream", "p.web.sse"),
        ("p.web.Name", "p.web"),
        ("p.web.*", "p.web"),
        ("p.Name", "p"),
        ("flask.views", None),
        ("pp.web", None),
    ],
)
def test_a_name_belongs_to_the_module_that_it_is_or_that_defines_it(
    name: str, expected: str | None
) -> None:
    assert module_of(name, {"p": 1, "p.web": 1, "p.web.sse": 1}) == expected


@pytest.mark.parametrize(
    ("graph", "cycle"),
    [
        ({}, []),
        ({"a": {"b", "c"}, "b": {"c"}, "c": set()}, []),
        ({"a": {"a"}}, ["a", "a"]),
        ({"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set()}, ["b", "c", "b"]),
        ({"a": {"c"}, "b": {"a"}, "c": {"d"}, "d": {"b"}}, ["a", "c", "d", "b", "a"]),
    ],
)
def test_a_cycle_is_found_with_its_path(graph: dict[str, set[str]], cycle: list[str]) -> None:
    assert find_cycle(graph) == cycle


def test_no_module_imports_itself_through_others() -> None:
    cycle = find_cycle(all_edges())
    assert not cycle, " imports ".join(cycle)


@pytest.mark.parametrize("package", ALLOWED)
def test_a_package_imports_only_what_it_may(package: str) -> None:
    modules = below(package)
    assert len(modules) > 1
    for module in modules:
        found = {part_of(target) for target in all_edges()[module]}
        assert found - {package} <= ALLOWED[package], module
        assert not libraries(module) & {*FORBIDDEN[package]}, module


def test_every_package_has_its_rule() -> None:
    packages = {part_of(module) for module in FILES if len(below(part_of(module))) > 1} - {""}
    assert packages == ALLOWED.keys() == FORBIDDEN.keys()


@pytest.mark.parametrize("package", PARTS)
def test_a_part_of_a_package_imports_only_those_before_it(package: str) -> None:
    parts, whole = PARTS[package], f"{NAME}.{package}"
    for module in below(package):
        part = part_of(module, whole)
        before = {*parts[: parts.index(part) + 1]} if part else {*parts}
        targets = {each for each in all_edges()[module] if each.startswith(f"{whole}.")}
        assert {part_of(each, whole) for each in targets} <= before, module


@pytest.mark.parametrize("package", PARTS)
def test_a_package_has_no_other_parts(package: str) -> None:
    parts = {part_of(module, f"{NAME}.{package}") for module in below(package)}
    assert parts - {""} == {*PARTS[package]}


def test_every_package_says_what_it_holds() -> None:
    packages = [file for file in FILES.values() if file.name == "__init__.py"]
    docstrings = {file: ast.get_docstring(ast.parse(file.read_text("utf-8"))) for file in packages}
    assert [file for file, text in docstrings.items() if not text] == []


def test_only_its_adapter_imports_celery() -> None:
    celery = {"amqp", "billiard", "celery", "kombu", "redis"}
    with_celery = {module for module in FILES if libraries(module) & celery}
    assert with_celery
    assert with_celery <= {*below("contrib.celery")}


def test_only_the_edge_imports_flask() -> None:
    with_flask = {part_of(module) for module in FILES if libraries(module) & {*FLASK}}
    assert with_flask <= {*EDGE}
    assert "blueprint" in with_flask
