"""What keeps a server from starting."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.server import Gunicorn
from tests.standin import StandIn

from . import duplicate_app
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
def test_an_application_is_not_made_with_two_evaluators_of_one_name(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    app: str,
    files: dict[str, str],
    places: list[str],
) -> None:
    write(tmp_path, files)
    monkeypatch.setenv("EVALS", str(tmp_path))
    with pytest.raises(Exception, match="two evaluators are named 'twin'") as caught:
        getattr(duplicate_app, app)()
    check_twins(str(caught.value), *places)


def test_a_server_does_not_start_with_two_evaluators_of_one_name(
    cloud: StandIn, tmp_path: Path
) -> None:
    write(tmp_path, {"eval_a.py": TWIN})
    settings = {**environ(cloud), "EVALS": str(tmp_path)}
    app = "tests.live.duplicate_app:loaded_and_decorated()"
    with Gunicorn(app, environ=settings, wait=False) as server:
        assert server.process.wait(20) != 0
        check_twins(server.log, "eval_a.py:4", "duplicate_app.py:")


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)


def check_twins(text: str, first: str, second: str) -> None:
    """Find both places, in this order, behind what is wrong."""
    said = text[text.index("two evaluators are named 'twin'") :]
    assert "give one of them another " in said
    assert said.index(first) < said.rindex(second)


def test_a_server_does_not_start_if_a_file_cannot_be_imported(
    cloud: StandIn, tmp_path: Path
) -> None:
    (tmp_path / "eval_broken.py").write_text("import braintrust\n\n1 / 0\n")
    settings = {**environ(cloud), "EVALS": str(tmp_path)}
    app = "tests.live.duplicate_app:loaded()"
    with Gunicorn(app, environ=settings, wait=False) as server:
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
