"""What ``make package`` has built: what is in it, and that it works where nothing else is."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from email import message_from_string
from email.message import Message
from pathlib import Path

import pytest
import requests
from readme_renderer.markdown import render

from flask_braintrust_evals import __version__

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "flask_braintrust_evals"
NOTHING_OF_OURS = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}


@pytest.fixture(scope="module")
def wheel() -> Path:
    found = [*(ROOT / "dist").glob(f"flask_braintrust_evals-{__version__}-*.whl")]
    if not found:
        pytest.skip("nothing is built: make package does it")
    return found[0]


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (each for each in archive.namelist() if each.endswith(".dist-info/METADATA"))
        return message_from_string(archive.read(name).decode())


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an empty environment into which the wheel was installed."""
    folder = tmp_path_factory.mktemp("empty")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    python = folder / "venv" / "bin" / "python"
    install = ["install", "--quiet", "--disable-pip-version-check", f"{wheel}[gunicorn]"]
    subprocess.run([python, "-m", "pip", *install], check=True, env=NOTHING_OF_OURS)
    subprocess.run([python, "-m", "pip", "check"], check=True, env=NOTHING_OF_OURS)
    return python


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder with the example application alone."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "example_app", tmp_path / "example_app", ignore=ignored)
    return tmp_path


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {each for each in archive.namelist() if ".dist-info/" not in each}
    files = (each for each in PACKAGE.rglob("*") if each.is_file())
    expected = {str(each.relative_to(ROOT)) for each in files if "__pycache__" not in each.parts}
    assert names == expected
    assert "flask_braintrust_evals/py.typed" in names
    assert {Path(name).suffix for name in names} == {
        ".py",
        ".typed",
        ".html",
        ".js",
        ".css",
        ".svg",
    }


def test_the_metadata_is_complete(metadata: Message) -> None:
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.10"
    assert sorted(metadata.get_all("Provides-Extra") or []) == [
        "braintrust",
        "cache",
        "celery",
        "gunicorn",
        "opentelemetry",
        "pytest",
    ]
    required = [each for each in metadata.get_all("Requires-Dist") or [] if "extra ==" not in each]
    assert all(re.search(r">=\d", each) for each in required), "each has a lower bound"


def test_flask_and_pytest_find_what_the_wheel_adds_to_them(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/entry_points.txt"))
        text = archive.read(name).decode()
    assert "[flask.commands]\nevals = flask_braintrust_evals.cli:evals_cli" in text
    plugin = "flask_braintrust_evals.pytest_plugin"
    assert f"[pytest11]\n{plugin} = {plugin}" in text


def test_the_readme_renders_on_the_package_index(metadata: Message) -> None:
    page = render(str(metadata.get_payload()))
    assert page is not None
    assert re.search(r"<h1[^>]*>flask-braintrust-evals<", page)
    targets = re.findall(r'(?:href|src)="([^"]*)"', page)
    assert targets
    assert [each for each in targets if not each.startswith(("https://", "#"))] == []


@pytest.mark.parametrize("repository", ["", "https://example.com/acme/evals/"])
def test_the_readme_links_to_the_repository_where_that_is_known(repository: str) -> None:
    code = (
        "import runpy, sys, types; tools = types.ModuleType('setuptools');"
        "tools.setup = lambda **options: print(options['long_description']);"
        "tools.find_packages = lambda **options: [];"
        "sys.modules['setuptools'] = tools; runpy.run_path('setup.py')"
    )
    text = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "REPOSITORY_URL": repository},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    page = render(text)
    assert page is not None
    picture = re.search(r'<img[^>]* src="([^"]*)"', page)
    if repository:
        assert picture is not None
        assert re.fullmatch(
            r"https://example.com/acme/evals/raw/v[\d.]+/docs/pictures/playground.png", picture[1]
        )
        assert re.search(
            r'href="https://example.com/acme/evals/blob/v[\d.]+/docs/tutorial.md"', page
        )
    else:
        assert picture is None
        assert "Tutorial: from an empty folder" in page


def test_the_demo_runs_from_the_wheel(python: Path, elsewhere: Path) -> None:
    where = subprocess.run(
        [python, "-c", "import flask_braintrust_evals; print(flask_braintrust_evals.__file__)"],
        cwd=elsewhere,
        env=NOTHING_OF_OURS,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert Path(where).is_relative_to(python.parents[1])
    demo = subprocess.run(
        [python, "-m", "example_app.demo", "--once", "--port", str(free_port())],
        cwd=elsewhere,
        env=NOTHING_OF_OURS,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert demo.returncode == 0, demo.stdout + demo.stderr


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


@pytest.fixture
def served(python: Path, elsewhere: Path) -> Iterator[str]:
    port = free_port()
    process = subprocess.Popen(
        [
            python.parent / "gunicorn",
            "--config",
            "example_app/gunicorn.conf.py",
            "example_app:create_app()",
        ],
        cwd=elsewhere,
        env={**NOTHING_OF_OURS, "PORT": str(port), "BRAINTRUST_EVALS_AUTH": "none"},
    )
    url = f"http://127.0.0.1:{port}/evals"
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                requests.get(f"{url}/", timeout=5)
                break
            except requests.RequestException:
                assert process.poll() is None
                assert time.monotonic() < deadline, "the server does not answer"
                time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait(40)


def test_the_example_is_served_from_the_wheel_with_its_page(served: str) -> None:
    listed = requests.get(f"{served}/list", timeout=10).json()
    assert "ticket-triage" in listed
    body = {"name": "ticket-triage", "data": {"own": True}, "stream": False}
    summary = requests.post(f"{served}/eval", json=body, timeout=30).json()
    assert summary["scores"]
    page = requests.get(f"{served}/playground", timeout=10)
    assert page.headers["Content-Type"].startswith("text/html")
    files = re.findall(r'(?:href|src)="(?:[^"]*/)?([\w-]+\.(?:js|css|svg))"', page.text)
    assert files
    for file in files:
        assert requests.get(f"{served}/playground/{file}", timeout=10).status_code == 200, file


def test_a_server_can_be_checked_where_there_is_no_application(
    python: Path, served: str, tmp_path: Path
) -> None:
    checked = subprocess.run(
        [python.parent / "flask", "evals", "check", served],
        cwd=tmp_path,
        env=NOTHING_OF_OURS,
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "ok   events come when they happen" in checked.stdout


def test_the_types_of_the_wheel_are_seen(python: Path, tmp_path: Path) -> None:
    (tmp_path / "user.py").write_text(
        "from flask_braintrust_evals import Evaluator, ScoreSummary\n"
        "mean: float | None = Evaluator('e', str.upper).run([]).scores['s'].mean\n"
        "wrong: int = Evaluator('e', str.upper).name\n"
    )
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--python-executable", python, "user.py"],
        cwd=tmp_path,
        env=NOTHING_OF_OURS,
        capture_output=True,
        text=True,
    )
    (line,) = (each for each in checked.stdout.splitlines() if ": error:" in each)
    assert line.startswith(
        'user.py:3: error: Incompatible types in assignment (expression has type "str"'
    )
