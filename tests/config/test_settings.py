"""The settings: where each is read from, what it may be, and when a mistake shows."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask

from flask_braintrust_evals import ConfigurationError, EvalsBlueprint
from flask_braintrust_evals.config.settings import Settings

ADDRESS = "an http:// or https:// address such as 'https://www.braintrust.dev'"
AUTH = "'braintrust', 'none', or a function that takes a request and returns a Session"
NAMES = "the id or the name of an organisation, a list of them, or '*' alone for all"
ORIGINS = (
    "a list of origins such as 'https://tools.example.com' (scheme, host and any unusual port,"
    " nothing after them) or of compiled patterns such as"
    " re.compile(r'https://[a-z]+\\.example\\.com') in app.config"
)
HOSTS = "a list of hosts such as 'api.example.com', 'api.example.com:8443', '*.example.com'"
IN_ASCII = "written as browsers send it, such as 'xn--bcher-kva.example'"
OWN_HOSTS = (
    "a list of host names such as 'tools.example.com', or '.example.com' for that and all of its"
    " subdomains"
)
SWITCH = "True or False"

ADDRESSES = ("BRAINTRUST_APP_URL", "BRAINTRUST_API_URL", "BRAINTRUST_PROXY_URL")
ORIGIN_LISTS = ("BRAINTRUST_EVALS_ORIGINS", "WHITELISTED_ORIGIN")
SWITCHES = {
    "BRAINTRUST_EVALS_BLOCKING": "blocking",
    "BRAINTRUST_EVALS_NO_AUTH_REMOTE": "no_auth_remote",
    "BRAINTRUST_EVALS_OPENAPI": "openapi",
    "BRAINTRUST_EVALS_PLAYGROUND": "playground",
    "BRAINTRUST_EVALS_STACK_TRACES": "stack_traces",
    "BRAINTRUST_EVALS_TRACER_PROVIDER": "tracer_provider",
}
INTEGERS = {
    "BRAINTRUST_EVALS_SESSION_LIMIT": ("session_limit", 1, 100_000),
    "BRAINTRUST_EVALS_MAX_CONCURRENCY": ("max_concurrency", 1, 1000),
    "BRAINTRUST_EVALS_CONCURRENCY_LIMIT": ("concurrency_limit", 1, 10_000),
    "BRAINTRUST_EVALS_MAX_TRIALS": ("max_trials", 1, 10_000),
    "BRAINTRUST_EVALS_MAX_CASES": ("max_cases", 1, 10**9),
    "BRAINTRUST_EVALS_MAX_RUNS": ("max_runs", 1, 1_000_000),
    "BRAINTRUST_EVALS_MAX_RUNS_PER_CALLER": ("max_runs_per_caller", 1, 1_000_000),
    "BRAINTRUST_EVALS_MAX_RUNS_PER_ORG": ("max_runs_per_org", 1, 1_000_000),
    "BRAINTRUST_EVALS_MAX_RUNNING_CASES": ("max_running_cases", 1, 1_000_000),
    "BRAINTRUST_EVALS_MAX_BODY": ("max_body", 1, 2**40),
    "BRAINTRUST_EVALS_MAX_VALUES": ("max_values", 1, 2**40),
}
SECONDS = {
    "BRAINTRUST_EVALS_SESSION_TTL": ("session_ttl", 0.05, 86_400),
    "BRAINTRUST_EVALS_MAX_TIMEOUT": ("max_timeout", 0.05, 31_536_000),
    "BRAINTRUST_EVALS_BODY_TIMEOUT": ("body_timeout", 0.05, 3600),
    "BRAINTRUST_EVALS_HEARTBEAT": ("heartbeat", 0.05, 600),
    "BRAINTRUST_EVALS_REQUEST_TIMEOUT": ("request_timeout", 0.05, 3600),
}


def refusal(key: str, value: Any, environ: dict[str, str] | None = None) -> str:
    config = {} if environ is not None else {key: value}
    with pytest.raises(ConfigurationError) as caught:
        Settings.load(config, environ or {})
        pytest.fail(f"{key} may be {value!r}")
    return str(caught.value)


def wrong() -> Iterator[tuple[str, Any, str]]:
    """Every key, with values it may not have, and what is allowed."""
    for key in ADDRESSES:
        for address in (5, True, b"https://x.dev", ["https://x.dev"], "", "www.braintrust.dev"):
            yield key, address, ADDRESS
        for text in ("ftp://x.dev", "https://", "https:///path", "//x.dev", "javascript:alert(1)"):
            yield key, text, ADDRESS
        for text in ("https://x.dev#top", "file:///etc/passwd", "https:x.dev"):
            yield key, text, ADDRESS
    others: list[Any] = [True, False, 5, ["none"], {}]
    for auth in ("open", "None", "", "BRAINTRUST", *others):
        yield "BRAINTRUST_EVALS_AUTH", auth, AUTH
    for names in (5, True, b"acme", {"acme": 1}, [""], [None], ["acme", 5], [["acme"]], object):
        yield "BRAINTRUST_EVALS_ORG_NAME", names, NAMES
    yield "BRAINTRUST_EVALS_ORG_NAME", re.compile("acme"), NAMES
    for host in ("https://x.dev", "x.dev/path", "u@x.dev", "*", "x.*.dev", "x.dev:", "x.dev:0"):
        yield "BRAINTRUST_EVALS_API_HOSTS", [host], HOSTS
    for other in ("", "x dev", "[::1", "x.dev:99999", "[x]", "größe.dev", "x.dev?q", None, 5, b"x"):
        yield "BRAINTRUST_EVALS_API_HOSTS", [other], HOSTS
    yield "BRAINTRUST_EVALS_API_HOSTS", 5, HOSTS
    for several in ("*,acme", ["acme", "*"], ["*", "*"]):
        yield "BRAINTRUST_EVALS_ORG_NAME", several, NAMES
    for hosts in (5, True, b"a", [5], [""], ["."], "https://a.dev", "a.dev/", "a dev", "u@a.dev"):
        yield "BRAINTRUST_EVALS_HOSTS", hosts, OWN_HOSTS
    for pattern in ("*", "*.example.com", ["a.dev", ".*"]):
        yield "BRAINTRUST_EVALS_HOSTS", pattern, OWN_HOSTS
    yield "TRUSTED_HOSTS", ["https://a.dev"], OWN_HOSTS
    for odd in ("straße.dev", "ü" * 70):
        yield "BRAINTRUST_EVALS_HOSTS", [odd], IN_ASCII
        yield "BRAINTRUST_EVALS_ORIGINS", [f"https://{odd}"], IN_ASCII
    for key in ORIGIN_LISTS:
        for origins in (5, True, b"https://x.dev", {"https://x.dev": 1}, [5], [None], [""]):
            yield key, origins, ORIGINS
        for origin in ("*", "null", "x.dev", "https://x.dev/", "https://x.dev/path", "https://"):
            yield key, origin, ORIGINS
            yield key, ["https://y.dev", origin], ORIGINS
        for origin in ("https://x.dev?q", "//x.dev", "HTTPS://x.dev", "https://x.dev\n"):
            yield key, [origin], ORIGINS
        for origin in ("https://*.x.dev", "https://x.dev:443", "http://x.dev:80", "https://x.dev:"):
            yield key, [origin], ORIGINS
        yield key, [re.compile(b"https://x.dev")], ORIGINS
    for key in SWITCHES:
        for switch in (5, 1.0, -1, "on", "", "maybe", [], [True]):
            yield key, switch, SWITCH
    for key, (_, low, high) in INTEGERS.items():
        allowed = f"a whole number from {low} to {high}"
        for number in (low - 1, high + 1, -5, 5.0, True, "", "many", "5.0", "0x10", [5], b"5"):
            yield key, number, allowed
    for key, (_, least, most) in SECONDS.items():
        allowed = f"a number of seconds from {least} to {most}"
        for seconds in (0, -1, 0.01, most + 1, "", "soon", "nan", "inf", True, [5], b"5"):
            yield key, seconds, allowed
        yield key, float("nan"), allowed
        yield key, float("inf"), allowed


WRONG: dict[str, list[tuple[Any, str]]] = {}
for _key, _value, _allowed in wrong():
    WRONG.setdefault(_key, []).append((_value, _allowed))


@pytest.mark.parametrize("key", WRONG)
def test_wrong_values_are_reported_with_their_key_and_what_is_allowed(key: str) -> None:
    for value, allowed in WRONG[key]:
        text = f"{key} is {value!r}, but must be {allowed}"
        assert refusal(key, value) == text
        if isinstance(value, str) and value:
            assert refusal(key, value, {key: value}) == text, "in the environment"


@pytest.mark.parametrize("key", ADDRESSES)
@pytest.mark.parametrize(
    "address",
    [
        "https://user:secret@x.dev",
        "https://secret@x.dev",
        "https://:secret@x.dev",
        "https://user:secret@x.dev/?q",
        "https://user:secret @x.dev",
        "ftp://user:secret@x.dev",
    ],
)
def test_a_password_in_an_address_is_refused_and_not_repeated(key: str, address: str) -> None:
    assert refusal(key, address) == f"{key} must not hold a user name or a password"


@pytest.mark.parametrize("key", ADDRESSES)
def test_the_query_of_an_address_is_refused_and_not_repeated(key: str) -> None:
    assert refusal(key, "https://x.dev/a?key=secret") == (
        f"{key} is 'https://x.dev/a?…', but must be {ADDRESS}, without a query"
    )


@pytest.mark.parametrize(
    "address",
    ["http://[::1", "http://[x]", "http://x.dev:port", "http://x.dev:99999", "http://x y.dev"],
)
def test_an_address_that_cannot_be_parsed_is_reported_like_any_other(address: str) -> None:
    text = refusal("BRAINTRUST_APP_URL", address)
    assert text == f"BRAINTRUST_APP_URL is {address!r}, but must be {ADDRESS}"


@pytest.mark.parametrize(
    "address", ["https://x.dev\n", " https://x.dev", "https://x.dev/ ", "\thttps://x.dev"]
)
def test_space_around_an_address_is_refused_or_taken_away(address: str) -> None:
    try:
        assert Settings.load({"BRAINTRUST_APP_URL": address}, {}).app_url == "https://x.dev"
    except ConfigurationError as error:
        assert "BRAINTRUST_APP_URL" in str(error)


@pytest.mark.parametrize(
    "origin",
    ["http://[::1", "https://user@x.dev", "https://x.dev:08", "https://X.dev", "https://x y.dev"],
)
def test_an_origin_that_no_browser_sends_is_refused(origin: str) -> None:
    text = refusal("BRAINTRUST_EVALS_ORIGINS", [origin])
    assert text == f"BRAINTRUST_EVALS_ORIGINS is {[origin]!r}, but must be {ORIGINS}"


# --- What is right ---


def test_without_any_setting_everything_has_its_default() -> None:
    assert Settings.load({}, {}) == Settings()
    assert Settings() == Settings(
        app_url="https://www.braintrust.dev",
        api_url=None,
        proxy_url=None,
        api_hosts=(),
        api_key=None,
        auth="braintrust",
        no_auth_remote=False,
        hosts=(),
        org_names=(),
        origins=(),
        session_limit=64,
        session_ttl=900,
        max_concurrency=10,
        max_runs=1000,
        max_body=8 * 1024 * 1024,
        max_values=250_000,
        heartbeat=5,
        request_timeout=30,
        tracer_provider=False,
        stack_traces=True,
        openapi=False,
    )


PATTERN = re.compile(r"https://[a-z]+\.example\.com")
RIGHT: list[tuple[str, Any, str, Any]] = [
    ("BRAINTRUST_APP_URL", "https://x.dev", "app_url", "https://x.dev"),
    ("BRAINTRUST_APP_URL", "http://localhost:3000//", "app_url", "http://localhost:3000"),
    ("BRAINTRUST_API_URL", "https://x.dev/api/", "api_url", "https://x.dev/api"),
    ("BRAINTRUST_PROXY_URL", "http://[::1]:8001", "proxy_url", "http://[::1]:8001"),
    ("BRAINTRUST_EVALS_API_HOSTS", "x.dev, *.y.dev:81", "api_hosts", ("x.dev", "*.y.dev:81")),
    ("BRAINTRUST_EVALS_API_HOSTS", ["10.0.0.7", "[::1]:8"], "api_hosts", ("10.0.0.7", "[::1]:8")),
    ("BRAINTRUST_EVALS_AUTH", "none", "auth", "none"),
    ("BRAINTRUST_EVALS_AUTH", "braintrust", "auth", "braintrust"),
    ("BRAINTRUST_EVALS_AUTH", len, "auth", len),
    ("BRAINTRUST_EVALS_ORG_NAME", "acme", "org_names", ("acme",)),
    ("BRAINTRUST_EVALS_ORG_NAME", " acme , globex,", "org_names", ("acme", "globex")),
    ("BRAINTRUST_EVALS_ORG_NAME", ["Acme, Inc."], "org_names", ("Acme, Inc.",)),
    ("BRAINTRUST_EVALS_ORG_NAME", ("a", "b"), "org_names", ("a", "b")),
    ("BRAINTRUST_EVALS_ORG_NAME", {"acme"}, "org_names", ("acme",)),
    ("BRAINTRUST_EVALS_ORG_NAME", [], "org_names", ()),
    ("BRAINTRUST_EVALS_ORG_NAME", "*", "org_names", ("*",)),
    ("BRAINTRUST_EVALS_HOSTS", "Tools.example.com", "hosts", ("tools.example.com",)),
    ("BRAINTRUST_EVALS_HOSTS", "a.dev, .b.dev:8000", "hosts", ("a.dev", ".b.dev")),
    ("BRAINTRUST_EVALS_HOSTS", ["buildbox", "[fd00::1]"], "hosts", ("buildbox", "fd00::1")),
    ("BRAINTRUST_EVALS_HOSTS", ".Bücher.de, a.", "hosts", (".xn--bcher-kva.de", "a")),
    ("BRAINTRUST_EVALS_ORIGINS", "http://bücher.de:1", "origins", ("http://xn--bcher-kva.de:1",)),
    ("BRAINTRUST_EVALS_ORIGINS", "http://bücher:8", "origins", ("http://xn--bcher-kva:8",)),
    ("BRAINTRUST_EVALS_ORIGINS", [], "origins", ()),
    ("BRAINTRUST_EVALS_ORIGINS", "http://localhost:3000", "origins", ("http://localhost:3000",)),
    (
        "BRAINTRUST_EVALS_ORIGINS",
        "https://a.dev, https://b.dev",
        "origins",
        ("https://a.dev", "https://b.dev"),
    ),
    ("BRAINTRUST_EVALS_ORIGINS", PATTERN, "origins", (PATTERN,)),
    ("BRAINTRUST_EVALS_ORIGINS", ["https://a.dev", PATTERN], "origins", ("https://a.dev", PATTERN)),
    ("WHITELISTED_ORIGIN", "https://a.dev", "origins", ("https://a.dev",)),
    *[
        (key, value, field, read)
        for key, field in SWITCHES.items()
        for value, read in (
            (True, True),
            (False, False),
            ("true", True),
            ("TRUE", True),
            ("1", True),
            (1, True),
            (0, False),
            ("yes", True),
            ("false", False),
            ("0", False),
            ("No", False),
        )
    ],
    *[
        (key, value, field, read)
        for key, (field, low, high) in INTEGERS.items()
        for value, read in ((low, low), (high, high), (str(high), high), (" 7 ", 7))
    ],
    *[
        (key, value, field, read)
        for key, (field, low, high) in SECONDS.items()
        for value, read in ((low, low), (high, float(high)), (7, 7.0), ("0.5", 0.5), ("1e2", 100.0))
    ],
]


@pytest.mark.parametrize("key", {key: None for key, *_ in RIGHT})
def test_right_values_are_read(key: str) -> None:
    for value, field, read in (each for name, *each in RIGHT if name == key):
        found = getattr(Settings.load({key: value}, {}), field)
        assert found == read, value
        assert type(found) is type(read) or callable(read), value
        if isinstance(value, str):
            assert getattr(Settings.load({}, {key: value}), field) == read, "in the environment"


def test_the_application_wins_over_the_environment_and_that_over_the_default() -> None:
    key = "BRAINTRUST_EVALS_MAX_CONCURRENCY"
    assert Settings.load({key: 5}, {key: "7"}).max_concurrency == 5
    assert Settings.load({}, {key: "7"}).max_concurrency == 7
    assert Settings.load({key: None}, {key: "7"}).max_concurrency == 7
    assert Settings.load({key: None}, {}).max_concurrency == 10
    assert Settings.load({}, {key: ""}).max_concurrency == 10
    with pytest.raises(ConfigurationError):
        Settings.load({key: 0}, {key: "7"})
    assert Settings.load({key: 5}, {key: "nonsense"}).max_concurrency == 5


def test_a_value_of_the_application_that_is_falsy_is_a_value() -> None:
    config = {"BRAINTRUST_EVALS_OPENAPI": False, "BRAINTRUST_EVALS_ORIGINS": []}
    environ = {"BRAINTRUST_EVALS_OPENAPI": "true", "BRAINTRUST_EVALS_ORIGINS": "https://a.dev"}
    settings = Settings.load(config, environ)
    assert (settings.openapi, settings.origins) == (False, ())


def test_both_lists_of_origins_are_allowed() -> None:
    settings = Settings.load(
        {"BRAINTRUST_EVALS_ORIGINS": ["https://a.dev"]}, {"WHITELISTED_ORIGIN": "https://b.dev"}
    )
    assert settings.origins == ("https://a.dev", "https://b.dev")


def test_the_key_of_the_machine_is_read_from_the_environment_alone_and_not_shown() -> None:
    key = "BRAINTRUST_API_KEY"
    assert Settings.load({key: "sk-1"}, {}).api_key is None
    assert Settings.load({}, {key: ""}).api_key is None
    settings = Settings.load({key: "sk-1"}, {key: "sk-2"})
    assert settings.api_key == "sk-2"
    assert "sk-2" not in repr(settings)


# --- When ---


@pytest.fixture
def bare() -> Flask:
    """An application without settings."""
    return Flask(__name__)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("BRAINTRUST_APP_URL", "www.braintrust.dev"),
        ("BRAINTRUST_EVALS_AUTH", "open"),
        ("BRAINTRUST_EVALS_MAX_RUNS", 0),
    ],
)
def test_a_mistake_shows_when_the_blueprint_is_registered(
    bare: Flask, monkeypatch: pytest.MonkeyPatch, key: str, value: Any
) -> None:
    bp = EvalsBlueprint("evals", __name__)
    bare.config[key] = value
    with pytest.raises(ConfigurationError, match=f"^{key} is "):
        bare.register_blueprint(bp)
    assert "braintrust_evals" not in bare.extensions
    bare.config.pop(key)
    monkeypatch.setenv(key, str(value))
    with pytest.raises(ConfigurationError, match=f"^{key} is "):
        bare.register_blueprint(bp)
    monkeypatch.delenv(key)
    bare.register_blueprint(bp)
    assert list(bare.blueprints) == ["evals"]


def test_celery_that_is_not_installed_is_reported_with_what_to_install(
    bare: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "flask_braintrust_evals.contrib.celery.hosting", None)
    bare.config.update(SECRET_KEY="s", BRAINTRUST_EVALS_EXECUTOR="celery")
    install = re.escape("needs Celery: pip install 'flask-braintrust-evals[celery]'")
    with pytest.raises(ConfigurationError, match=install):
        bare.register_blueprint(EvalsBlueprint("evals", __name__))
    assert "braintrust_evals" not in bare.extensions


def test_settings_are_read_when_the_blueprint_is_registered_and_kept(
    bare: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BRAINTRUST_EVALS_MAX_RUNS", "7")
    bare.register_blueprint(EvalsBlueprint("evals", __name__))
    bare.config["BRAINTRUST_EVALS_MAX_RUNS"] = 9
    assert bare.extensions["braintrust_evals"].settings.max_runs == 7
