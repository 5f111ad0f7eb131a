"""The Playground's way to the server, in a real browser.

A page whose origin really is ``https://www.braintrust.dev`` calls a server at ``http://localhost``.
Its host name is mapped to a local server, which Chromium is told to take for one of the public
internet, so that its rules for local networks (https://wicg.github.io/local-network-access/) apply.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests
import trustme

from tests.server import Gunicorn
from tests.standin import StandIn

from .conftest import start_chromium

pytestmark = pytest.mark.live

BRAINTRUST, EVIL = "https://www.braintrust.dev", "https://evil.example"
ASKS_SINCE = 142
"""The version of Chromium that asks before a page may reach the user's own machine."""
LIST = """
const [url, done] = arguments;
const headers = {"x-bt-auth-token": "token-ada", "x-bt-org-name": "acme", "x-bt-use-gateway": "1"};
fetch(`${url}/list`, {headers, credentials: "include"})
    .then(async (answer) => done({status: answer.status, names: Object.keys(await answer.json())}))
    .catch((error) => done({error: String(error)}));
"""
START = """
const [url, done] = arguments;
const headers = {"Authorization": "Bearer token-ada", "x-bt-org-name": "acme"};
headers["Content-Type"] = "application/json";
const body = JSON.stringify({name: "streaming", stream: true, data: {data: [{input: "a"}]},
    parent: {object_type: "playground_logs", object_id: "p"}});
fetch(`${url}/eval`, {method: "POST", headers, body, credentials: "include"}).then((answer) => {
    window.reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    done({status: answer.status, type: answer.headers.get("content-type")});
}).catch((error) => done({error: String(error)}));
"""
READ = """
const [wanted, done] = arguments;
window.text ??= "";
(async () => {
    while (!window.text.includes(wanted)) {
        const {value, done: ended} = await window.reader.read();
        if (ended) break;
        window.text += value;
    }
    done(window.text);
})().catch((error) => done(String(error)));
"""


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b"<!doctype html><title>A page</title>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@pytest.fixture(scope="module")
def page_port() -> Iterator[int]:
    """An HTTPS server with a certificate that is thrown away."""
    names = [each.removeprefix("https://") for each in (BRAINTRUST, EVIL)]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert(*names).configure_cert(context)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def browser(page_port: int) -> Iterator[Any]:
    names = ("www.braintrust.dev", "evil.example")
    rules = ",".join(f"MAP {name}:443 127.0.0.1:{page_port}" for name in names)
    browser = start_chromium(
        f"--host-resolver-rules={rules}",
        "--ignore-certificate-errors",
        f"--ip-address-space-overrides=127.0.0.1:{page_port}=public",
    )
    browser.set_script_timeout(20)
    yield browser
    browser.quit()


@pytest.fixture(scope="module")
def url(cloud_for_pages: StandIn) -> Iterator[str]:
    environ = {"AUTH": "braintrust", "BRAINTRUST_APP_URL": cloud_for_pages.url}
    with Gunicorn("tests.browser.app:create_app()", environ=environ) as server:
        yield f"http://localhost:{server.port}/evals"


def permit(browser: Any, origin: str, setting: str) -> None:
    """Answer what the browser asks its user before a page may reach this machine."""
    for name in ("local-network-access", "loopback-network", "local-network"):
        try:
            browser.execute_cdp_cmd(
                "Browser.setPermission",
                {"permission": {"name": name}, "setting": setting, "origin": origin},
            )
        except Exception as error:  # of another version of the browser
            assert "permission" in str(error).lower()


def test_the_playgrounds_page_lists_and_streams(browser: Any, url: str) -> None:
    browser.get(f"{BRAINTRUST}/app/acme/p/playgrounds")
    assert browser.execute_script("return location.origin") == BRAINTRUST
    permit(browser, BRAINTRUST, "granted")

    listed = browser.execute_async_script(LIST, url)
    assert listed["status"] == 200
    assert "streaming" in listed["names"]

    started = browser.execute_async_script(START, url)
    assert started == {"status": 200, "type": "text/event-stream; charset=utf-8"}
    early = browser.execute_async_script(READ, "first")
    assert "all of it" not in early, "events are there while their task still runs"
    requests.get(url.replace("/evals", "/release"), timeout=10)
    text = browser.execute_async_script(READ, "event: done")
    assert [line for line in text.splitlines() if line.startswith("event: ")][-2:] == [
        "event: summary",
        "event: done",
    ]
    assert "all of it" in text


def test_a_user_who_refuses_the_browsers_question_sees_what_looks_like_a_network_error(
    browser: Any, url: str
) -> None:
    if int(browser.capabilities["browserVersion"].split(".")[0]) < ASKS_SINCE:
        pytest.skip(f"Chromium asks since version {ASKS_SINCE}")
    browser.get(BRAINTRUST)
    permit(browser, BRAINTRUST, "denied")

    assert browser.execute_async_script(LIST, url) == {"error": "TypeError: Failed to fetch"}
    permit(browser, BRAINTRUST, "granted")
    assert browser.execute_async_script(LIST, url)["status"] == 200


def test_any_other_page_gets_nothing(browser: Any, url: str, cloud_for_pages: StandIn) -> None:
    browser.get(EVIL)
    permit(browser, EVIL, "granted")
    spans = len(cloud_for_pages.spans)

    for script in (LIST, START):
        assert browser.execute_async_script(script, url) == {"error": "TypeError: Failed to fetch"}
    simple = """
        const [url, done] = arguments;
        const body = JSON.stringify({name: "streaming", data: [{input: "a"}]});
        fetch(`${url}/eval`, {method: "POST", body, mode: "no-cors"})
            .then(async (answer) => done([answer.type, (await answer.text()).length]))
            .catch((error) => done(String(error)));
    """
    assert browser.execute_async_script(simple, url) in (
        ["opaque", 0],
        "TypeError: Failed to fetch",
    )
    assert len(cloud_for_pages.spans) == spans, "nothing was run for it"
