"""nginx in front of gunicorn, with the configuration that the documentation shows, and others."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from flask_braintrust_evals.cli.servers.finding import chunks
from tests.cli.servers.test_check import check
from tests.forked import nursery
from tests.server import LIBRARIES, Gunicorn
from tests.support import eventually

from .pages import ROOT, blocks_of

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
CONFIGURATION = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    {temporary}
    server {{
        listen 127.0.0.1:{port};
        {location}
    }}
}}
"""
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(NGINX is None, reason="nginx is not installed"),
]


@pytest.fixture(scope="module")
def server() -> Iterator[Gunicorn]:
    # No-auth mode is not meant for what is behind a proxy, but needs no stand-in of the cloud.
    environ = {"BRAINTRUST_EVALS_AUTH": "none", "BRAINTRUST_EVALS_NO_AUTH_REMOTE": "true"}
    with Gunicorn("tests.cli.checked_app:create_app()", environ=environ) as server:
        yield server


def documented() -> str:
    (block,) = (each for each in blocks_of(ROOT / "docs" / "deployment.md") if each.kind == "nginx")
    return block.text


@contextmanager
def nginx(folder: Path, server: Gunicorn | None, location: str) -> Iterator[str]:
    assert NGINX is not None
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    temporary = " ".join(f"{name}_temp_path {folder}/{name};" for name in TEMPORARY)
    if server is not None:
        location = location.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}")
    file = folder / "nginx.conf"
    file.write_text(
        CONFIGURATION.format(folder=folder, temporary=temporary, port=port, location=location)
    )
    process = subprocess.Popen([NGINX, "-p", str(folder), "-c", str(file)])
    try:
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert process.poll() is None, (folder / "error.log").read_text()
                assert time.monotonic() < deadline, "nginx does not answer"
                time.sleep(0.02)
        yield f"http://127.0.0.1:{port}/evals"
    finally:
        process.terminate()
        process.wait(10)


def test_the_documented_configuration_is_fine(tmp_path: Path, server: Gunicorn) -> None:
    with nginx(tmp_path, server, documented()) as url:
        result = check(url, token=None)
    assert result.exit_code == 0, result.stdout


def test_the_configuration_of_any_site_stops_large_bodies(tmp_path: Path, server: Gunicorn) -> None:
    with nginx(tmp_path, server, "location / { proxy_pass http://127.0.0.1:8000; }") as url:
        result = check(url, token=None)
    (block,) = (
        each for each in blocks_of(ROOT / "docs" / "command-line.md") if "nginx" in each.mark
    )
    found = [line for line in result.stdout.splitlines() if not line.startswith("ok")]
    assert " ".join(" ".join(found).split()) == " ".join(block.text.split())
    assert "ok   events come when they happen" in result.stdout, "by X-Accel-Buffering"


def test_a_socket_of_unix_is_fine(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # the path of a socket must be short
        path = f"{folder}/tools.sock"
        environ = {**os.environ, "BRAINTRUST_EVALS_AUTH": "none", "BRAINTRUST_EVALS_MAX_RUNS": "1"}
        environ.update(BRAINTRUST_EVALS_NO_AUTH_REMOTE="true", BRAINTRUST_EVALS_HEARTBEAT="0.1")
        arguments = ["-k", "gevent", "--bind", f"unix:{path}", "tests.cli.checked_app:create_app()"]
        with Path(os.devnull).open("w") as nowhere:
            fds = (nowhere.fileno(), nowhere.fileno())
            gunicorn = nursery(True, LIBRARIES).fork("gunicorn", arguments, environ, *fds)
        try:
            deadline = time.monotonic() + 30
            while not Path(path).exists():
                assert gunicorn.poll() is None and time.monotonic() < deadline
                time.sleep(0.05)
            location = documented().replace("http://127.0.0.1:8000", f"http://unix:{path}")
            with nginx(tmp_path, None, location) as url:
                result = check(url, token=None)
                assert result.exit_code == 0, result.stdout
                # The run of a client that leaves ends, though there is no state of a connection.
                body = {"name": "long", "data": {"own": True}}
                for _ in range(2):
                    with eventually(lambda: accepted(url, body)) as answer:
                        assert any(b"json_delta" in chunk for chunk in chunks(answer))
        finally:
            gunicorn.send_signal(signal.SIGTERM)
            gunicorn.wait(30)


def accepted(url: str, body: Any) -> Any:
    """The answer to a run, if there is room for one."""
    answer = requests.post(f"{url}/eval", json=body, stream=True, timeout=10)
    if answer.status_code == 200:
        return answer
    answer.close()
    assert answer.status_code in (429, 503)
    return None


def test_buffering_is_found(tmp_path: Path, server: Gunicorn) -> None:
    # By HTTP/1.0, which was its default before 1.29.7, it knows no chunks, and fills its buffers.
    location = documented().replace("proxy_http_version 1.1;", "")
    location = location.replace(
        "proxy_buffering off;",
        "proxy_ignore_headers X-Accel-Buffering;\n    proxy_http_version 1.0;",
    )
    with nginx(tmp_path, server, location) as url:
        result = check(url, token=None)
    assert result.exit_code == 1
    assert "FAIL events do not come when they happen" in result.stdout


def test_compression_is_found(tmp_path: Path, server: Gunicorn) -> None:
    compressing = f"gzip on; gzip_types text/event-stream; gzip_proxied any; {documented()}"
    with nginx(tmp_path, server, compressing) as url:
        result = check(url, token=None)
    assert "compressed" not in result.stdout, "by Content-Encoding"
    ignoring = compressing.replace("{", "{ proxy_hide_header Content-Encoding;", 1)
    with nginx(tmp_path, server, ignoring) as url:
        result = check(url, token=None)
    assert "the stream is compressed (gzip)" in result.stdout


def test_headers_that_nginx_adds_are_found(tmp_path: Path, server: Gunicorn) -> None:
    location = documented().replace("{", "{ add_header Access-Control-Allow-Origin *;", 1)
    with nginx(tmp_path, server, location) as url:
        result = check(url, token=None)
    assert "FAIL the preflight of /list fails: it has several allowed origins" in result.stdout
    assert "FAIL pages of any site may use it" in result.stdout
