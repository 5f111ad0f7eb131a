"""What keeps a server from starting."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.server import Gunicorn
from tests.standin import StandIn

from .conftest import environ

pytestmark = pytest.mark.live


TWIN = """
from braintrust import Eval

Eval("twin", data=[], task=lambda input: input, scores=[])
"""


@pytest.mark.parametrize(
    ("app", "files", "places"),
    [
        ("decorated", {}, ["duplicate_app.py:", "duplicate_app.py:"]),
        ("loaded_and_decorated", {"eval_a.py": TWIN}, ["eval_a.py:4", "duplicate_app.py:"]),
        ("added_and_loaded", {"eval_a.py": TWIN}, ["duplicate_app.py:", "eval_a.py:4"]),
        ("loaded", {"eval_a.py": TWIN, "b/eval_b.py": TWIN}, ["eval_b.py:4", "eval_a.py:4"]),
        ("loaded", {"eval_a.py": TWIN * 2}, ["eval_a.py:4", "eval_a.py:8"]),
    ],
)
def test_a_server_does_not_start_with_two_evaluators_of_one_name(
    cloud: StandIn, tmp_path: Path, app: str, files: dict[str, str], places: list[str]
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    settings = {**environ(cloud), "EVALS": str(tmp_path)}
    app = f"tests.live.duplicate_app:{app}()"
    with Gunicorn(app, environ=settings, wait=False) as server:
        assert server.process.wait(20) != 0
        assert "two evaluators are named 'twin'" in server.log
        assert "give one of them another name, such as 'twin-2'" in server.log
        said = server.log[server.log.index("two evaluators are named") :]
        first, second = said.index(places[0]), said.rindex(places[1])
        assert first < second


def test_a_server_does_not_start_if_a_file_cannot_be_imported(
    cloud: StandIn, tmp_path: Path
) -> None:
    (tmp_path / "eval_broken.py").write_text("import braintrust\n\n1 / 0\n")
    settings = {**environ(cloud), "EVALS": str(tmp_path)}
    app = "tests.live.duplicate_app:loaded()"
    with Gunicorn(app, environ=settings, wait=False, fresh=True) as server:
        assert server.process.wait(20) != 0
        log = server.log
    assert f"{tmp_path}/eval_broken.py could not be imported: ZeroDivisionError" in log
    assert f'File "{tmp_path}/eval_broken.py", line 3' in log


def test_a_server_does_not_start_with_a_wrong_setting(cloud: StandIn) -> None:
    settings = {**environ(cloud), "BRAINTRUST_EVALS_HEARTBEAT": "soon"}
    with Gunicorn(environ=settings, wait=False) as server:
        assert server.process.wait(20) != 0
        assert (
            "ConfigurationError: BRAINTRUST_EVALS_HEARTBEAT is 'soon', but must be a number of"
            " seconds from 0.05 to 600"
        ) in server.log
