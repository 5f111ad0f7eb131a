"""Tokens are in no variable of a frame that a crash reporter could record."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from flask_braintrust_evals import ConfigurationError, Session
from flask_braintrust_evals.cloud.http.addresses import AddressRules
from flask_braintrust_evals.cloud.http.client import CloudClient
from flask_braintrust_evals.cloud.http.connections import CheckedAdapter
from flask_braintrust_evals.cloud.http.tokens import Token
from flask_braintrust_evals.cloud.sessions import user_session
from flask_braintrust_evals.cloud.sessions.user_session import Endpoints, log_in
from flask_braintrust_evals.config.settings import Settings
from flask_braintrust_evals.web.access.credentials import Credentials
from tests.standin import StandIn
from tests.support import eventually

from .support import DEAD_URL, Api, cloud_app, error_of, make_app

MARK = "sk-of-the-caller-that-nobody-may-see"
NOT_OURS = ("/tests/", "/flask/", "/werkzeug/", "/_pytest/", "/concurrent/", "/threading.py")
"""Frames that have a request's headers whatever this package does, or that are a test's own."""


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and all that it refers to, whether they are shown or not."""
    seen: list[BaseException] = []
    waiting = [error]
    while waiting:
        each = waiting.pop()
        if each is not None and each not in seen:
            seen.append(each)
            yield each
            waiting += [each.__cause__, each.__context__, *getattr(each, "exceptions", ())]


def shown(value: Any, depth: int = 3) -> str:
    """What a reporter records of a value: its text, and the attributes of objects of this package.

    What is called a token is left out by all of them.
    """
    kind = type(value)
    if not depth or not kind.__module__.startswith("flask_braintrust_evals"):
        parts = value if kind in (list, tuple) and depth else ()
        return repr(value) + "".join(shown(each, depth - 1) for each in parts)
    names = {*getattr(kind, "__slots__", ()), *getattr(value, "__dict__", ())} - {"token"}
    attributes = (getattr(value, name, None) for name in names)
    return repr(value) + "".join(shown(each, depth - 1) for each in attributes)


def leaks(error: BaseException | None) -> list[str]:
    """The variables of frames, and the texts of exceptions, that show the token."""
    found = []
    for each in chain(error):
        if MARK in repr(each) + str(each) + repr(vars(each)):
            found.append(f"{type(each).__name__}: its text")
        trace = each.__traceback__
        while trace is not None:
            code = trace.tb_frame.f_code
            if not any(part in code.co_filename for part in NOT_OURS):
                found += [
                    f"{code.co_filename}:{trace.tb_lineno} {name}"
                    for name, value in trace.tb_frame.f_locals.items()
                    if MARK in shown(value)
                ]
            trace = trace.tb_next
    return found


class Reporter(logging.Handler):
    """Examines what is logged with an exception, as crash reporters do."""

    def __init__(self) -> None:
        super().__init__()
        self.reports = 0
        self.leaks: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.leaks += [record.name] if MARK in record.getMessage() else []
        if record.exc_info and record.exc_info[1] is not None:
            self.reports += 1
            self.leaks += leaks(record.exc_info[1])


@pytest.fixture
def reporter() -> Iterator[Reporter]:
    reporter = Reporter()
    logger = logging.getLogger()
    level = logger.level
    logger.addHandler(reporter)
    logger.setLevel(logging.DEBUG)
    yield reporter
    logger.removeHandler(reporter)
    logger.setLevel(level)


def raised(call: Callable[[], Any]) -> BaseException:
    with pytest.raises(BaseException) as caught:
        call()
    return caught.value


def test_a_leak_would_be_found() -> None:
    def leaky(token: str) -> None:
        raise ValueError("no")

    leaky.__code__ = leaky.__code__.replace(co_filename="/elsewhere.py")
    error = raised(lambda: leaky(MARK))
    assert len(leaks(error)) == 1
    wrapped = raised(lambda: requests.get(DEAD_URL, headers={"Authorization": MARK}, timeout=1))
    assert leaks(wrapped)
    later = ValueError("x")
    later.__context__ = error
    assert len(leaks(later)) == 1


def client(url: str, timeout: float = 5) -> CloudClient:
    return CloudClient(Token(MARK), timeout, AddressRules.of([url, DEAD_URL]))


FAULTS: dict[str, dict[str, Any]] = {
    "401": {"status": 401, "body": {"Message": f"bad token {MARK}"}},
    "500": {"status": 500, "body": f"no {MARK} here"},
    "redirect": {"status": 302, "headers": {"Location": "/"}},
    "closed": {"close": True, "times": None},
    "half": {"half": True},
    "nonsense": {"nonsense": True},
    "no gzip": {"body": b"x", "headers": {"Content-Encoding": "gzip"}},
    "large": {"body": b" " * 9_000_000},
    "slow": {"delay": 20},
}


@pytest.mark.parametrize("kind", FAULTS)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_error_of_a_call_has_the_token(
    cloud: StandIn, kind: str, method: str, reporter: Reporter
) -> None:
    cloud.fault("*", "/x", **FAULTS[kind])
    error = raised(lambda: client(cloud.url, 0.5).call(method, cloud.url + "/x", repeatable=False))
    assert leaks(error) == reporter.leaks == []


@pytest.mark.parametrize(
    ("url", "options"),
    [
        (DEAD_URL, {}),
        ("https://localhost:1", {}),
        ("http://10.0.0.1", {}),
        ("nonsense", {}),
        (DEAD_URL, {"headers": {"x-bt-parent": "a\nb"}}),
        (DEAD_URL, {"headers": {"x-bt-parent": "日本"}}),
    ],
)
def test_no_error_of_a_call_that_is_never_answered_has_the_token(
    url: str, options: Any, reporter: Reporter
) -> None:
    error = raised(lambda: client(DEAD_URL).call("GET", url, retry=False, **options))
    assert leaks(error) == reporter.leaks == []


@pytest.mark.parametrize("kind", [ZeroDivisionError, MemoryError, SystemExit, KeyboardInterrupt])
def test_what_is_no_failure_of_the_network_has_no_frames_with_the_token(
    cloud: StandIn, kind: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Any, request: Any, *args: Any, **options: Any) -> Any:
        headers = dict(request.headers)
        assert MARK in headers["Authorization"]
        try:
            raise ValueError("first")
        except ValueError:
            raise kind("a bug")  # noqa: B904

    monkeypatch.setattr(CheckedAdapter, "send", fail)
    error = raised(lambda: client(cloud.url).call("GET", cloud.url + "/x"))
    assert type(error) is kind
    assert leaks(error) == []
    trace = error.__traceback__
    while trace is not None:
        assert "requests" not in trace.tb_frame.f_code.co_filename
        trace = trace.tb_next


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 401},
        {"status": 404},
        {"status": 500},
        {"close": True, "times": None},
        {"nonsense": True},
        {"body": {"org_info": []}},
        {"body": {"org_info": 5}},
        {"body": {"org_info": [{"id": "o", "name": "acme", "api_url": "http://10.0.0.1"}]}},
    ],
)
def test_no_error_of_a_login_has_the_token(
    cloud: StandIn, fault: dict[str, Any], reporter: Reporter
) -> None:
    cloud.fault("POST", "/api/apikey/login", **fault)
    error = raised(lambda: log_in(Token(MARK), None, Endpoints(cloud.url, timeout=5)))
    assert leaks(error) == []
    response = Api(cloud_app(cloud), token=MARK).get("/list")
    assert MARK not in response.text
    assert reporter.leaks == []


def test_a_bug_during_a_login_is_reported_without_the_token(
    cloud: StandIn, monkeypatch: pytest.MonkeyPatch, reporter: Reporter
) -> None:
    cloud.add_user(MARK)

    def fail(*args: Any) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(user_session, "_choose", fail)
    app = cloud_app(cloud)
    error_of(Api(app, token=MARK).get("/list"), 500)
    assert reporter.reports
    assert reporter.leaks == []


def test_failures_of_a_run_are_reported_without_the_token(
    cloud: StandIn, reporter: Reporter
) -> None:
    cloud.add_user(MARK)
    api = Api(cloud_app(cloud), token=MARK)
    scores = [{"name": "far", "function_id": "f"}]
    for fault in ({"close": True, "times": 9}, {"status": 403}, {"half": True}, {"body": b"{}"}):
        cloud.fault("POST", "/function/invoke", **fault)
        api.events(data=[{"input": 1}], scores=scores)
    cloud.fault("POST", "/otel/v1/traces", status=400)
    api.events(data=[{"input": 1}])
    eventually(lambda: reporter.reports >= 4)
    assert reporter.leaks == []


@pytest.mark.parametrize("name", ["Authorization", "x-bt-auth-token"])
@pytest.mark.parametrize("value", [MARK + "\x00", MARK * 200, MARK + "\u00e9", f"Basic {MARK}"])
def test_no_error_of_a_header_has_the_token(name: str, value: str, reporter: Reporter) -> None:
    sent = value.encode().decode("latin-1")
    if " " not in value:
        assert leaks(raised(lambda: Credentials.of({name: sent}))) == []
    app = make_app(BRAINTRUST_APP_URL=DEAD_URL)
    environ = {f"HTTP_{name.upper().replace('-', '_')}": sent}
    response = Api(app, token=None).get("/list", environ_overrides=environ)
    assert response.status_code in (400, 401)
    assert MARK not in response.text
    assert reporter.leaks == []


def test_no_error_of_a_setting_has_the_token() -> None:
    # The constructor's own frame has its argument, as the frame of the application that calls it.
    found = leaks(raised(lambda: Session(token=MARK + " two words")))
    assert not [leak for leak in found if not leak.startswith("<string>:")]
    error = raised(lambda: Settings.load({}, {"BRAINTRUST_API_KEY": MARK + "\x00"}))
    assert type(error) is ConfigurationError
    assert not [leak for leak in leaks(error) if not leak.endswith(" environ")]


def test_a_token_is_shown_by_none_of_the_objects_that_carry_it(cloud: StandIn) -> None:
    cloud.add_user(MARK)
    session = log_in(Token(MARK), None, Endpoints(cloud.url, timeout=5))
    session.api("GET", "/v1/dataset")
    gc.collect()
    ours = [
        each
        for each in gc.get_objects()
        if str(type(each).__module__).startswith("flask_braintrust_evals.")
    ]
    assert ours
    assert not [type(each) for each in ours if MARK in repr(each)]
    session.close()
