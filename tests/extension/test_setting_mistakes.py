"""What an application logs about settings that have no effect."""

from __future__ import annotations

import logging

import pytest
from flask import Flask

from flask_braintrust_evals import EvalsBlueprint
from flask_braintrust_evals.extension.setting_mistakes import known_settings
from flask_braintrust_evals.extension.state import init_app


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.WARNING, "flask_braintrust_evals")
    return caplog


def new_app() -> Flask:
    app = Flask(__name__)
    app.config["TESTING"] = True
    return app


def test_every_setting_is_known() -> None:
    assert {"BRAINTRUST_EVALS_AUTH", "BRAINTRUST_APP_URL", "WHITELISTED_ORIGIN"} <= known_settings()


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("BRAINTRUST_EVALS_PLAYGROND", "did you mean 'BRAINTRUST_EVALS_PLAYGROUND'?"),
        ("BRAINTRUST_EVAL_ORIGINS", "did you mean 'BRAINTRUST_EVALS_ORIGINS'?"),
        ("BRAINTRUST_EVALS_XYZZY", "there are: 'BRAINTRUST_EVALS_API_HOSTS', "),
    ],
)
def test_an_unknown_setting_is_told_with_the_closest_one(
    log: pytest.LogCaptureFixture, name: str, hint: str
) -> None:
    app = new_app()
    app.config[name] = True
    init_app(app, {})
    init_app(new_app(), {name: "true"})
    of_config, of_environment = [record.getMessage() for record in log.records]
    assert f"{name}, in app.config, is no setting, and is ignored; {hint}" in of_config
    assert f"{name}, in the environment, is no setting, and is ignored; {hint}" in of_environment


def test_settings_of_others_are_theirs(log: pytest.LogCaptureFixture) -> None:
    app = new_app()
    app.config["BRAINTRUST_PARENT"] = "x"
    init_app(app, {"BRAINTRUST_API_KEY": "k", "BRAINTRUST_ORG_NAME": "acme", "PATH": "/bin"})
    assert not log.records


def test_a_setting_that_is_changed_after_the_registration_is_told_once(
    log: pytest.LogCaptureFixture,
) -> None:
    app = new_app()
    app.config["BRAINTRUST_EVALS_HEARTBEAT"] = 3
    app.register_blueprint(EvalsBlueprint("evals", __name__))
    app.config["BRAINTRUST_EVALS_AUTH"] = "none"
    del app.config["BRAINTRUST_EVALS_HEARTBEAT"]
    for _ in range(2):
        assert app.test_client().get("/list").status_code == 401
    assert [record.getMessage().partition(",")[0] for record in log.records] == [
        "BRAINTRUST_EVALS_AUTH was changed after the blueprint was registered",
        "BRAINTRUST_EVALS_HEARTBEAT was changed after the blueprint was registered",
    ]
