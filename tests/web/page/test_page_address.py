"""Where the local page is, is said once, and only where it is known."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Blueprint, Flask
from flask.cli import run_command

from flask_braintrust_evals.cli import evals_cli
from tests.web.support import blueprint_of

IF = "(if nothing in front of the application changes its address)"
SETTINGS = {"BRAINTRUST_EVALS_AUTH": "none", "BRAINTRUST_EVALS_PLAYGROUND": True}


def register(app: Flask | None = None, **options: Any) -> None:
    app = app or Flask(__name__)
    app.config.update(SETTINGS)
    app.register_blueprint(blueprint_of(), **{"url_prefix": "/evals", **options})


def loaded_by(module: str, owner: Any, load: Any = register) -> None:
    """Load an application in a method of a server, as the server does."""
    names: dict[str, Any] = {"__name__": module, "load": load}
    exec("def call(self): load()", names)
    names["call"](owner)


def worker(*names: Any, age: int = 1, is_ssl: bool = False) -> SimpleNamespace:
    sockets = [SimpleNamespace(getsockname=lambda name=name: name) for name in names]
    return SimpleNamespace(sockets=sockets, age=age, cfg=SimpleNamespace(is_ssl=is_ssl))


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.name == "gunicorn.error"]


@pytest.fixture(autouse=True)
def information(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "gunicorn.error")


@pytest.mark.parametrize(
    ("by", "addresses"),
    [
        (worker(("127.0.0.1", 8000)), ["http://127.0.0.1:8000"]),
        (worker(("0.0.0.0", 80), is_ssl=True), ["https://localhost:80"]),
        (
            worker(("::1", 8000, 0, 0), ("::", 81, 0, 0)),
            ["http://[::1]:8000", "http://localhost:81"],
        ),
        (worker("/run/tools.sock"), []),
        (worker(("127.0.0.1", 8000), age=2), []),
    ],
    ids=["", "any host", "IPv6", "Unix socket", "another worker"],
)
def test_the_first_worker_of_gunicorn_says_it(
    by: Any, addresses: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    loaded_by("gunicorn.workers.base", by)
    expected = [f"evaluators can be tried at {each}/evals/playground {IF}" for each in addresses]
    assert said(caplog) == expected


def test_with_preload_the_master_process_says_it(caplog: pytest.LogCaptureFixture) -> None:
    address = [("127.0.0.1", 8000), "/run/tools.sock", ("0.0.0.0", 0), 3]
    master = SimpleNamespace(cfg=SimpleNamespace(address=address, is_ssl=False))
    loaded_by("gunicorn.arbiter", master)
    assert said(caplog) == [
        f"evaluators can be tried at http://127.0.0.1:8000/evals/playground {IF}"
    ]


def test_below_gunicorns_prefix_it_is_said_with_it(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCRIPT_NAME", "/tools")
    loaded_by("gunicorn.workers.base", worker(("127.0.0.1", 8000)))
    assert said(caplog) == [
        f"evaluators can be tried at http://127.0.0.1:8000/tools/evals/playground {IF}"
    ]


def test_the_path_is_that_of_the_registration(caplog: pytest.LogCaptureFixture) -> None:
    def load() -> None:
        outer = Blueprint("outer", __name__, url_prefix="/outer")
        outer.register_blueprint(blueprint_of(), url_prefix="/inner/")
        app = Flask(__name__)
        app.config.update(SETTINGS)
        app.register_blueprint(outer)
        register(url_prefix=None)
        register(url_prefix="/<tenant>/evals")
        register(subdomain="evals")
        register(Flask(__name__, host_matching=True, static_folder=None))
        off = Flask(__name__)
        off.register_blueprint(blueprint_of())

    loaded_by("gunicorn.workers.base", worker(("127.0.0.1", 8000)), load)
    assert [each.split()[5].removeprefix("http://127.0.0.1:8000") for each in said(caplog)] == [
        "/outer/inner/playground",
        "/playground",
    ]


def of_command(command: Any, *arguments: str) -> None:
    with command.make_context(command.name, list(arguments)).scope():
        register()


def test_flask_run_says_it_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    of_command(run_command, "--port", "8001")
    assert capsys.readouterr().err == (
        f" * evaluators can be tried at http://127.0.0.1:8001/evals/playground {IF}\n"
    )
    monkeypatch.setenv("WERKZEUG_RUN_MAIN", "true")  # the process that the reloader starts
    of_command(run_command, "--port", "8001")
    of_command(evals_cli, "list")
    register()
    assert capsys.readouterr().err == ""
