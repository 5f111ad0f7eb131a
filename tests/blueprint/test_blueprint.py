"""The blueprint: how evaluators get into it, and how it sits in an application."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Blueprint, Flask, jsonify
from flask.testing import FlaskClient

from flask_braintrust_evals import (
    DuplicateEvaluatorError,
    EvalsBlueprint,
    Evaluator,
    RegistrationClosedError,
    RegistrationError,
    evals_bp,
)
from tests.web.support import PAGE, Api, error_of


@pytest.fixture(autouse=True, scope="module")
def no_auth_mode() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "BRAINTRUST_EVALS_AUTH", "none")
        yield


@pytest.fixture
def bp() -> EvalsBlueprint:
    return EvalsBlueprint("evals", __name__)


@pytest.fixture
def app() -> Flask:
    return Flask(__name__)


def echo(input: Any) -> Any:
    return input


def names_at(client: FlaskClient, prefix: str) -> list[str]:
    response = client.get(f"{prefix}/list", headers={"Origin": PAGE})
    assert response.status_code == 200, response.text
    assert response.headers["Access-Control-Allow-Origin"] == PAGE
    return list(response.get_json())


# --- Registering evaluators ---


@pytest.mark.parametrize("wrong", [None, echo, "echo", Evaluator, {"name": "echo"}, [1]])
def test_only_evaluators_may_be_added(bp: EvalsBlueprint, wrong: Any) -> None:
    with pytest.raises(RegistrationError) as caught:
        bp.add(wrong)
    assert str(caught.value) == (
        f"add() takes an Evaluator, not {wrong!r}; for a function, use @bp.evaluator()"
    )
    assert len(bp.registry) == 0


@pytest.mark.parametrize(("name", "shown"), [("echo", "'echo'"), (None, '"name"')])
def test_a_task_that_is_passed_to_the_decorator_is_not_lost(
    bp: EvalsBlueprint, name: str | None, shown: str
) -> None:
    options: Any = {"task": echo}
    with pytest.raises(RegistrationError) as caught:
        bp.evaluator(name, **options)
    assert str(caught.value) == (
        f"evaluator() decorates the task; to pass it, write add(Evaluator({shown}, ...))"
    )


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"trial_count": 0}, "trial_count must be a whole number from 1, not 0"),
        ({"max_concurrency": 0}, "max_concurrency must be a whole number from 1, not 0"),
        ({"timeout": -1}, "timeout must be seconds above 0, not -1"),
        ({"scores": echo}, "scores must be a list"),
        ({"parameters": ["mood"]}, "parameters must be a mapping of names to schemas"),
    ],
)
def test_an_option_that_makes_no_sense_shows_where_the_function_is(
    bp: EvalsBlueprint, options: dict[str, Any], text: str
) -> None:
    with pytest.raises(RegistrationError) as caught:
        bp.evaluator("echo", **options)(echo)
    assert text in str(caught.value)
    assert f"{__file__}:{echo.__code__.co_firstlineno}" in str(caught.value)
    assert len(bp.registry) == 0


def test_an_option_that_does_not_exist_is_an_error(bp: EvalsBlueprint) -> None:
    with pytest.raises(TypeError, match="scorers"):
        bp.evaluator("echo", scorers=[])(echo)  # type: ignore[call-overload]


@pytest.mark.parametrize("name", ["", " ", 5])
def test_a_name_must_be_a_text(bp: EvalsBlueprint, name: Any) -> None:
    with pytest.raises(RegistrationError, match="name must be a text that is not empty, not "):
        bp.evaluator(name)(echo)


def test_two_evaluators_of_one_name_are_an_error_that_names_both_places(
    bp: EvalsBlueprint,
) -> None:
    @bp.evaluator("twin")
    def first(input: Any) -> Any:
        return input

    def second(input: Any) -> Any:
        return input

    with pytest.raises(DuplicateEvaluatorError) as caught:
        bp.evaluator("twin")(second)
    assert str(caught.value) == (
        f"two evaluators are named 'twin': one at {__file__}:{first.__code__.co_firstlineno}, one"
        f" at {__file__}:{second.__code__.co_firstlineno}; give one of them another name, such as"
        " 'twin-2'"
    )
    assert [each.task for each in bp.registry] == [first]


def test_two_evaluators_of_one_name_are_an_error_in_the_constructor_too() -> None:
    twins = [Evaluator("twin", echo), Evaluator("twin", echo)]
    with pytest.raises(DuplicateEvaluatorError, match="'twin'"):
        EvalsBlueprint("evals", __name__, evaluators=twins)


def test_two_blueprints_may_have_evaluators_of_one_name(app: Flask) -> None:
    for name in ("a", "b"):
        other = EvalsBlueprint(name, __name__, evaluators=[Evaluator("twin", echo)])
        app.register_blueprint(other, url_prefix=f"/{name}")
    client = app.test_client()
    assert names_at(client, "/a") == names_at(client, "/b") == ["twin"]


def test_the_decorator_returns_the_function_itself(bp: EvalsBlueprint) -> None:
    assert bp.evaluator("named")(echo) is echo
    assert bp.evaluator(echo) is echo
    assert bp.evaluator(name="by keyword", trial_count=2)(echo) is echo
    assert [each.name for each in bp.registry] == ["named", "echo", "by keyword"]
    assert all(each.task is echo for each in bp.registry)


def test_without_a_name_the_functions_is_taken(bp: EvalsBlueprint) -> None:
    class Task:
        def __call__(self, input: Any) -> Any:
            return input

    @bp.evaluator
    def bare(input: Any) -> Any:
        return input

    @bp.evaluator()
    async def empty(input: Any) -> Any:
        return input

    bp.evaluator()(Task())
    bp.evaluator()(functools.partial(echo))
    assert [each.name for each in bp.registry] == ["bare", "empty", "Task", "echo"]


def test_the_functions_documentation_is_the_description_unless_another_is_given(
    bp: EvalsBlueprint,
) -> None:
    @bp.evaluator
    def documented(input: Any) -> Any:
        """Greets.

        At length.
        """

    bp.evaluator("other", description="Another")(documented)
    bp.evaluator("none")(echo)
    bp.evaluator("partial")(functools.partial(echo))
    assert [each.description for each in bp.registry] == [
        "Greets.\n\nAt length.",
        "Another",
        None,
        None,
    ]


def test_evaluators_may_be_added_before_and_after_the_blueprint_is_registered(
    bp: EvalsBlueprint, app: Flask
) -> None:
    bp.evaluator("before")(echo)
    app.register_blueprint(bp, url_prefix="/evals")
    bp.evaluator("after")(echo)
    bp.add(Evaluator("added", echo))
    assert names_at(app.test_client(), "/evals") == ["before", "after", "added"]


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/"), ("GET", "/list"), ("OPTIONS", "/eval"), ("GET", "/nothing"), ("PUT", "/list")],
)
def test_an_evaluator_that_comes_after_the_first_request_is_an_error(
    bp: EvalsBlueprint, app: Flask, method: str, path: str
) -> None:
    app.register_blueprint(bp, url_prefix="/evals")
    app.test_client().open(f"/evals{path}", method=method)
    line = echo.__code__.co_firstlineno
    with pytest.raises(RegistrationClosedError) as caught:
        bp.evaluator("late")(echo)
    assert str(caught.value) == (
        f"evaluator 'late' ({__file__}:{line}) comes too late: the blueprint has served its first"
        " request, and other workers would not have it; add it where the application is set up"
    )
    assert names_at(app.test_client(), "/evals") == []


def test_requests_to_the_rest_of_the_application_close_nothing(
    bp: EvalsBlueprint, app: Flask
) -> None:
    other = EvalsBlueprint("other", __name__)
    app.register_blueprint(bp, url_prefix="/evals")
    app.register_blueprint(other, url_prefix="/other")
    client = app.test_client()
    client.get("/nothing")
    client.get("/other/list")
    bp.evaluator("in time")(echo)
    assert names_at(client, "/evals") == ["in time"]


def test_the_ready_made_blueprint_is_one() -> None:
    assert isinstance(evals_bp, EvalsBlueprint)
    assert evals_bp.name == "braintrust_evals"
    assert isinstance(EvalsBlueprint(), Blueprint)


# --- Where it sits ---


@pytest.mark.parametrize(
    ("prefix", "address"),
    [
        ("/evals", "/evals"),
        ("/evals/", "/evals"),
        ("/a/b/c", "/a/b/c"),
        ("/größe", "/größe"),
        ("/<tenant>/evals", "/acme/evals"),
        ("/<int:number>", "/5"),
        ("/<path:anything>/evals", "/a/b/evals"),
        ("/<path>/evals", "/a/evals"),
        ("/<name>/<_>", "/a/b"),
    ],
)
def test_any_prefix_will_do(bp: EvalsBlueprint, app: Flask, prefix: str, address: str) -> None:
    bp.evaluator(echo)
    app.register_blueprint(bp, url_prefix=prefix)
    api = Api(app, token=None, prefix=address)
    origin = {"Origin": PAGE}
    for path in ("", "/"):
        response = api.get(path, headers=origin)
        assert response.get_json() == {"status": "ok"}
        assert response.headers["Access-Control-Allow-Origin"] == PAGE
    for path in ("/list", "/list/", "//list"):
        assert list(api.get(path, headers=origin).get_json()) == ["echo"]
    assert api.outputs(data=[{"input": 1}]) == [1]
    response = api.get("/nothing/here", headers=origin)
    assert "the evaluators are at /list and /eval" in error_of(response, 404)
    assert response.headers["Access-Control-Allow-Origin"] == PAGE
    assert api.open("OPTIONS", "/eval", headers=origin).status_code == 204


def test_a_prefix_of_the_blueprints_own_will_do(app: Flask) -> None:
    app.register_blueprint(EvalsBlueprint("evals", __name__, url_prefix="/own"))
    assert names_at(app.test_client(), "/own") == []


def test_nested_blueprints_will_do(bp: EvalsBlueprint, app: Flask) -> None:
    inner = Blueprint("inner", __name__, url_prefix="/inner")
    outer = Blueprint("outer", __name__)
    bp.evaluator(echo)
    inner.register_blueprint(bp, url_prefix="/evals")
    outer.register_blueprint(inner)

    @outer.errorhandler(404)
    def page(error: Exception) -> tuple[str, int]:
        return "<p>the outer's page", 404

    app.register_blueprint(outer, url_prefix="/<tenant>")
    client = app.test_client()
    assert names_at(client, "/acme/inner/evals") == ["echo"]
    api = Api(app, token=None, prefix="/acme/inner/evals")
    response = api.get("/nothing", headers={"Origin": PAGE})
    error_of(response, 404)
    assert response.headers["Access-Control-Allow-Origin"] == PAGE
    assert client.get("/acme/nothing", headers={"Origin": PAGE}).mimetype == "text/html"


def test_a_subdomain_will_do(bp: EvalsBlueprint) -> None:
    app = Flask(__name__, subdomain_matching=True)
    app.config["SERVER_NAME"] = "localhost"
    app.register_blueprint(bp, subdomain="evals", url_prefix="/")
    client = app.test_client()
    on_subdomain = client.get("/list", base_url="http://evals.localhost")
    assert on_subdomain.get_json() == {}
    assert client.get("/list", base_url="http://localhost").status_code == 404


@pytest.mark.parametrize("prefix", [None, "", "/"])
def test_without_a_prefix_the_applications_own_routes_stay_its_own(
    bp: EvalsBlueprint, app: Flask, prefix: str | None
) -> None:
    @app.get("/page")
    def page() -> str:
        return "a page"

    @app.errorhandler(404)
    def missing(error: Exception) -> tuple[str, int]:
        return "<p>nothing here", 404

    bp.evaluator(echo)
    app.register_blueprint(bp, url_prefix=prefix)
    client = app.test_client()
    origin = {"Origin": PAGE}
    assert names_at(client, "") == ["echo"]
    assert client.get("/", headers=origin).get_json() == {"status": "ok"}
    for path, method, status in (
        ("/page", "GET", 200),
        ("/none", "GET", 404),
        ("/page", "POST", 405),
    ):
        response = client.open(path, method=method, headers=origin)
        assert (response.status_code, response.mimetype) == (status, "text/html")
        assert "Access-Control-Allow-Origin" not in response.headers
    # What is ours is still answered by us.
    response = client.put("/list", headers=origin)
    assert "use GET or POST" in error_of(response, 405)
    assert response.headers["Access-Control-Allow-Origin"] == PAGE


def test_routes_of_the_application_below_our_prefix_stay_its_own(
    bp: EvalsBlueprint, app: Flask
) -> None:
    app.register_blueprint(bp, url_prefix="/evals")

    @app.get("/evals/report")
    def report() -> str:
        return "a report"

    @app.get("/evals/reports/<name>")
    def named(name: str) -> str:
        return f"report {name}"

    client = app.test_client()
    assert client.get("/evals/report").text == "a report"
    assert client.get("/evals/reports/x").text == "report x"


def test_the_same_blueprint_may_be_registered_under_two_names(
    bp: EvalsBlueprint, app: Flask
) -> None:
    bp.evaluator(echo)
    app.register_blueprint(bp, url_prefix="/one")
    app.register_blueprint(bp, url_prefix="/two", name="again")
    client = app.test_client()
    for prefix in ("/one", "/two"):
        assert names_at(client, prefix) == ["echo"]
        response = client.get(f"{prefix}/nothing", headers={"Origin": PAGE})
        assert error_of(response, 404)
        assert response.headers["Access-Control-Allow-Origin"] == PAGE
    assert {"evals.list", "again.list"} <= app.view_functions.keys()


def test_one_blueprint_may_serve_two_applications_with_settings_of_their_own(
    bp: EvalsBlueprint,
) -> None:
    bp.evaluator(echo)
    apps = []
    for origin in ("https://one.example.com", "https://two.example.com"):
        app = Flask(__name__)
        app.config["BRAINTRUST_EVALS_ORIGINS"] = origin
        app.register_blueprint(bp, url_prefix="/evals")
        apps.append(app)
    first, second = (app.test_client() for app in apps)
    one, two = {"Origin": "https://one.example.com"}, {"Origin": "https://two.example.com"}
    assert first.get("/evals/list", headers=one).status_code == 200
    assert first.get("/evals/list", headers=two).status_code == 403
    assert second.get("/evals/list", headers=one).status_code == 403
    assert second.get("/evals/list", headers=two).status_code == 200
    states = [app.extensions["braintrust_evals"] for app in apps]
    assert states[0] is not states[1]
    assert states[0].runtime is not states[1].runtime


def test_all_blueprints_of_an_application_share_its_state(
    bp: EvalsBlueprint, app: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "flask_braintrust_evals"):
        app.register_blueprint(bp, url_prefix="/one")
        state = app.extensions["braintrust_evals"]
        app.register_blueprint(EvalsBlueprint("other", __name__), url_prefix="/two")
    assert app.extensions["braintrust_evals"] is state
    # No-auth mode warns once per application.
    assert len(caplog.records) == 1


def test_an_application_may_be_made_by_a_factory_any_number_of_times(bp: EvalsBlueprint) -> None:
    bp.evaluator(echo)

    def create_app() -> Flask:
        app = Flask(__name__)
        app.register_blueprint(bp, url_prefix="/evals")
        return app

    for _ in range(3):
        assert names_at(create_app().test_client(), "/evals") == ["echo"]


def test_hooks_and_routes_of_the_blueprints_own_work(bp: EvalsBlueprint, app: Flask) -> None:
    @bp.get("/extra")
    def extra() -> Any:
        return jsonify(extra=True)

    @bp.before_request
    def count() -> None:
        seen.append(1)

    seen: list[int] = []
    app.register_blueprint(bp, url_prefix="/evals")
    client = app.test_client()
    assert client.get("/evals/extra").get_json() == {"extra": True}
    client.get("/evals/list")
    assert len(seen) == 2


def test_addresses_can_be_built(bp: EvalsBlueprint, app: Flask) -> None:
    app.register_blueprint(bp, url_prefix="/evals")
    with app.test_request_context():
        assert app.url_for("evals.index") == "/evals/"
        assert app.url_for("evals.list") == "/evals/list"
        assert app.url_for("evals.eval") == "/evals/eval"


def test_defaults_of_addresses_do_no_harm(bp: EvalsBlueprint, app: Flask) -> None:
    app.register_blueprint(bp, url_prefix="/evals", url_defaults={"tenant": "acme"})
    assert names_at(app.test_client(), "/evals") == []


# --- Methods ---


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/", ["GET", "OPTIONS"]),
        ("/list", ["GET", "POST", "OPTIONS"]),
        ("/eval", ["POST", "OPTIONS"]),
        ("//eval", ["POST", "OPTIONS"]),
    ],
)
def test_a_method_that_is_not_allowed_is_405_with_those_that_are(
    bp: EvalsBlueprint, app: Flask, path: str, allowed: list[str]
) -> None:
    app.register_blueprint(bp, url_prefix="/evals")
    for method in ("PUT", "DELETE", "PATCH", "TRACE", "PROPFIND", "BREW"):
        response = app.test_client().open("/evals" + path, method=method, headers={"Origin": PAGE})
        assert error_of(response, 405) == (
            f"{method} is not allowed for '/evals{path}'; use {' or '.join(allowed[:-1])}"
        )
        assert response.headers["Allow"] == ", ".join(allowed), method


@pytest.mark.parametrize(
    ("path", "status"), [("/", 200), ("/list", 200), ("/eval", 405), ("/x", 404)]
)
def test_head_is_get_without_a_body(bp: EvalsBlueprint, app: Flask, path: str, status: int) -> None:
    app.register_blueprint(bp, url_prefix="/evals")
    response = app.test_client().head(f"/evals{path}", headers={"Origin": PAGE})
    assert (response.status_code, response.data) == (status, b"")
    assert response.headers["Access-Control-Allow-Origin"] == PAGE


def test_the_health_is_answered_to_anyone(bp: EvalsBlueprint, app: Flask) -> None:
    app.config["BRAINTRUST_EVALS_AUTH"] = "braintrust"
    app.register_blueprint(bp, url_prefix="/evals")
    response = app.test_client().get("/evals/", environ_overrides={"REMOTE_ADDR": "203.0.113.9"})
    assert (response.status_code, response.get_json()) == (200, {"status": "ok"})
    assert response.mimetype == "application/json"


def test_an_unknown_path_is_answered_with_the_known_ones(bp: EvalsBlueprint, app: Flask) -> None:
    app.register_blueprint(bp, url_prefix="/evals")
    client = app.test_client()
    assert error_of(client.get("/evals/lists"), 404) == (
        "there is nothing at '/evals/lists'; the evaluators are at /list and /eval below the"
        " blueprint's prefix"
    )


@pytest.mark.parametrize(
    ("path", "setting"),
    [("/playground", "PLAYGROUND"), ("/playground/", "PLAYGROUND"), ("/openapi.json", "OPENAPI")],
)
def test_what_is_switched_off_is_answered_with_its_setting(
    path: str, setting: str, bp: EvalsBlueprint, app: Flask
) -> None:
    app.register_blueprint(bp, url_prefix="/evals")
    assert error_of(app.test_client().get(f"/evals{path}"), 404) == (
        f"'/evals{path}' is switched off; set BRAINTRUST_EVALS_{setting} to true"
    )


def test_the_description_is_served_where_it_is_asked_for(bp: EvalsBlueprint, app: Flask) -> None:
    app.register_blueprint(bp, url_prefix="/evals")
    error_of(app.test_client().get("/evals/openapi.json"), 404)
    described = Flask(__name__)
    described.config["BRAINTRUST_EVALS_OPENAPI"] = True
    described.register_blueprint(bp, url_prefix="/evals")
    document = described.test_client().get("/evals/openapi.json").get_json()
    assert document["openapi"] == "3.1.0"
    assert document["servers"] == [{"url": "/evals"}]
    assert document["paths"].keys() == set(
        ("/", "/ready", "/list", "/eval", "/runs", "/runs/{run_id}")
    )


@pytest.mark.parametrize("prefixes", [("/evals", "/evals/"), (None, "/"), ("/a/b", "/a/b")])
def test_two_blueprints_at_one_address_are_an_error(prefixes: tuple[str | None, str]) -> None:
    app = Flask(__name__)
    app.register_blueprint(EvalsBlueprint("first", __name__), url_prefix=prefixes[0])
    with pytest.raises(RegistrationError) as caught:
        app.register_blueprint(EvalsBlueprint("second", __name__), url_prefix=prefixes[1])
    assert str(caught.value).startswith(
        f"the blueprints 'first' and 'second' are both registered at '/{prefixes[1].strip('/')}'"
    )


def test_two_blueprints_may_have_one_prefix_in_two_subdomains() -> None:
    app = Flask(__name__, subdomain_matching=True)
    app.config["SERVER_NAME"] = "example.com"
    for name in ("first", "second"):
        app.register_blueprint(EvalsBlueprint(name, __name__), url_prefix="/evals", subdomain=name)
    assert len([rule for rule in app.url_map.iter_rules() if rule.rule == "/evals/list"]) == 2


def test_a_tracer_provider_is_given_one_processor_however_many_applications_there_are() -> None:
    processors = set()
    for _ in range(3):
        app = Flask(__name__)
        app.register_blueprint(EvalsBlueprint("evals", __name__))
        host = app.extensions["braintrust_evals"].runtime.host(app)
        processors.add(host.span_processor)
    assert len(processors) == 1
