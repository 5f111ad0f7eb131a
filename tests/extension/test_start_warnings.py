"""What an application logs when it starts with settings that let everybody in."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from click.testing import CliRunner
from flask import Flask
from flask.cli import FlaskGroup

from flask_braintrust_evals import EvalsBlueprint, Session

OPEN = (
    "BRAINTRUST_EVALS_ORG_NAME is not set: everybody who has an account at"
    " https://www.braintrust.dev may run the evaluators, "
)


def start(blueprints: int = 1, debug: bool = False, **config: Any) -> Flask:
    app = Flask(__name__)
    app.debug = debug
    app.config.update(config)
    for number in range(blueprints):
        app.register_blueprint(EvalsBlueprint(f"evals{number}", __name__), url_prefix=f"/{number}")
    return app


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.WARNING, "flask_braintrust_evals")
    return caplog


@pytest.mark.parametrize("allowed", [None, "", [], ","])
def test_a_server_that_is_open_to_the_world_says_so_once(
    log: pytest.LogCaptureFixture, allowed: Any
) -> None:
    start(blueprints=3, BRAINTRUST_EVALS_ORG_NAME=allowed)
    assert [record.levelname for record in log.records] == ["WARNING"]
    assert log.records[0].getMessage().startswith(OPEN)


@pytest.mark.parametrize(
    "config",
    [
        {"BRAINTRUST_EVALS_ORG_NAME": "acme"},
        {"BRAINTRUST_EVALS_ORG_NAME": "*"},
        {"BRAINTRUST_EVALS_AUTH": lambda request: Session()},
        {"TESTING": True},
        {"debug": True},
    ],
)
def test_a_server_that_is_closed_or_meant_to_be_open_or_local_says_nothing(
    log: pytest.LogCaptureFixture, config: dict[str, Any]
) -> None:
    start(**config)
    assert not log.records


@pytest.mark.parametrize(
    ("auth", "key", "warns"), [("none", "", 1), ("none", "k", 0), (None, "", 0)]
)
def test_a_key_that_is_not_read_is_told_where_requests_would_use_it(
    log: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    auth: str | None,
    key: str,
    warns: int,
) -> None:
    monkeypatch.setenv("BRAINTRUST_API_KEY", key)
    start(BRAINTRUST_EVALS_AUTH=auth, BRAINTRUST_API_KEY="sk-secret", TESTING=True)
    texts = [record.getMessage() for record in log.records]
    assert sum("BRAINTRUST_API_KEY is in app.config" in text for text in texts) == warns
    assert "secret" not in log.text


@pytest.mark.parametrize(
    ("arguments", "warns"),
    [
        (["routes"], False),
        (["run"], False),
        (["run", "--host", "localhost"], False),
        (["run", "--host", "0.0.0.0"], True),
        (["run", "--host", "::"], True),
    ],
)
def test_a_command_warns_if_it_serves_other_machines(
    log: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    warns: bool,
) -> None:
    monkeypatch.setattr("flask.cli.run_simple", lambda *args, **options: None)
    # To look for the commands of all installed packages takes half a second.
    monkeypatch.setattr(FlaskGroup, "_load_plugin_commands", lambda self: None)
    monkeypatch.delenv("FLASK_DEBUG", raising=False)
    group = FlaskGroup(create_app=start)
    result = CliRunner().invoke(group, arguments)
    assert result.exit_code == 0, result.output
    assert [record.getMessage().startswith(OPEN) for record in log.records] == [True] * warns
