"""The JSON of the documentation is what goes over the wire, and so is what tables say of it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

import flask_braintrust_evals
from flask_braintrust_evals import EvalsBlueprint
from flask_braintrust_evals.config.settings import Settings
from flask_braintrust_evals.engine.running.cases.hooks import PROGRESS_EVENTS
from flask_braintrust_evals.extension.setting_mistakes import known_settings
from flask_braintrust_evals.runs.requests.request import EvalRequest

from .pages import PAGES, ROOT, blocks_of

PROTOCOL = ROOT / "docs" / "protocol.md"


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Flask:
    """The application of the README, in no-auth mode."""
    monkeypatch.setenv("BRAINTRUST_EVALS_AUTH", "none")
    monkeypatch.setattr(flask_braintrust_evals, "evals_bp", EvalsBlueprint())
    (block,) = (each for each in blocks_of(ROOT / "README.md") if each.kind == "python")
    names: dict[str, Any] = {"__name__": "app_of_the_readme"}
    exec(compile(block.text, "README.md", "exec"), names)
    app: Flask = names["app"]
    return app


def json_blocks(page: Path) -> list[Any]:
    return [json.loads(each.text) for each in blocks_of(page) if each.kind == "json"]


def test_all_json_is_json() -> None:
    assert sum(len(json_blocks(page)) for page in PAGES) >= 2


def test_the_manifest_and_the_request_of_the_protocol_are_real(app: Flask) -> None:
    manifest, request = json_blocks(PROTOCOL)
    client = app.test_client()
    assert client.get("/evals/list").json == manifest
    answer = client.post("/evals/eval", json=request)
    assert answer.status_code == 200
    assert 'event":"json_delta","data":"\\"hi world\\""' in answer.text
    assert re.findall(r"^event: (\w+)$", answer.text, re.MULTILINE)[-2:] == ["summary", "done"]


def rows_of(page: Path) -> str:
    """The first cells of all tables."""
    text = page.read_text("utf-8")
    return "\n".join(re.findall(r"^\| (.*?) \|", text, re.MULTILINE))


def test_every_field_of_a_request_is_documented() -> None:
    documented = set(re.findall(r"`(\w+)`", rows_of(PROTOCOL)))
    of_page = {"case_results", "case_spans"}
    assert documented >= EvalRequest.model_fields.keys() - of_page
    assert {name for name in of_page if f"`{name}`" not in PROTOCOL.read_text("utf-8")} == set()


def test_every_setting_is_documented() -> None:
    keys = known_settings() - Flask.default_config.keys()
    text = (ROOT / "docs" / "settings.md").read_text("utf-8")
    assert len(keys) > len(Settings.__dataclass_fields__)
    assert {key for key in keys if f"`{key}`" not in text} == set()


def test_every_kind_of_progress_is_documented() -> None:
    documented = set(re.findall(r"`(\w+)`", rows_of(ROOT / "docs" / "evaluators.md")))
    assert documented >= set(PROGRESS_EVENTS)


def test_every_option_of_the_command_line_is_documented() -> None:
    from flask_braintrust_evals.cli.commands.evals_group import check_server, run_evaluators
    from flask_braintrust_evals.cli.commands.ps_commands import cancel_runs, list_runs

    text = (ROOT / "docs" / "command-line.md").read_text("utf-8")
    for command in (run_evaluators, check_server, list_runs, cancel_runs):
        for parameter in command.params:
            for name in parameter.opts:
                if name.startswith("--") and name != "--token":
                    assert f"`{name}" in text, name


def numbers(version: str) -> list[int]:
    """The parts of a version, without zeros at its end."""
    return [*map(int, version.removesuffix(".0").split("."))]


def test_the_bounds_of_requirements_are_those_of_the_page_about_security() -> None:
    page = (ROOT / "docs" / "security.md").read_text("utf-8").partition("## Dependencies")[2]
    documented = dict(re.findall(r"^\| (\S+) \| (\d[\d.]*) \|", page, re.MULTILINE))
    setup = (ROOT / "setup.py").read_text("utf-8")
    required = dict(re.findall(r'"([\w-]+)(?:\[\w+\])?>=([\d.]+)"', setup))
    assert len(documented) >= 8
    for name, version in documented.items():
        assert numbers(required[name.lower()]) == numbers(version), name
    message = (ROOT / "flask_braintrust_evals/blueprint/evals_blueprint.py").read_text("utf-8")
    assert f"needs the braintrust package, {required['braintrust']} or later" in message
