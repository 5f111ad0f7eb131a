"""The files on the page of recipes, each with the extension that it is about."""

from __future__ import annotations

import asyncio
import importlib
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sentry_sdk
from flask import Flask
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sentry_sdk.integrations.flask import FlaskIntegration
from sentry_sdk.transport import Transport

import flask_braintrust_evals
from flask_braintrust_evals import EvalsBlueprint
from tests.docs.pages import ROOT, blocks_of
from tests.standin import StandIn
from tests.support import eventually, happens
from tests.web.support import PAGE, Api, error_of

PAGE_OF_RECIPES = ROOT / "docs" / "flask-recipes.md"
NO_AUTH: dict[str, Any] = {"BRAINTRUST_EVALS_AUTH": "none"}

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:flask_login")


@pytest.fixture(autouse=True)
def files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """The files of the page can be imported, and are forgotten afterwards."""
    names = set()
    for block in blocks_of(PAGE_OF_RECIPES):
        if block.file is not None:
            (tmp_path / block.file).write_text(block.text, "utf-8")
            names.add(block.file.removesuffix(".py"))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(flask_braintrust_evals, "evals_bp", EvalsBlueprint())
    yield
    for name in names & sys.modules.keys():
        del sys.modules[name]


def recipe(name: str) -> Any:
    return importlib.import_module(name)


def api_of(app: Flask, prefix: str = "/evals") -> Api:
    return Api(app, token=None, prefix=prefix)


def failures(api: Api, **body: Any) -> list[str]:
    """The errors of all cases."""
    progress = [event.json for event in api.events(**body) if event.type == "progress"]
    return [each["data"] for each in progress if each["event"] == "error"]


def test_every_file_of_the_page_is_tested() -> None:
    tests = Path(__file__).read_text("utf-8")
    names = [block.file for block in blocks_of(PAGE_OF_RECIPES) if block.kind == "python"]
    assert len(names) >= 8
    for name in names:
        assert name is not None
        assert f'recipe("{name.removesuffix(".py")}")' in tests


def test_an_application_factory() -> None:
    factory = recipe("factory")
    for _ in range(2):
        api = api_of(factory.create_app(**NO_AUTH), "/internal/evals")
        assert api.outputs(name="shout", data=[{"input": "a"}]) == ["A"]


# --- Flask-SQLAlchemy ---


@pytest.fixture
def database(tmp_path: Path) -> dict[str, Any]:
    """Settings with a database, and room for two connections."""
    return {
        **NO_AUTH,
        "SQLALCHEMY_DATABASE_URI": f"sqlite:///{tmp_path}/tickets.db",
        "SQLALCHEMY_ENGINE_OPTIONS": {"pool_size": 2, "max_overflow": 0, "pool_timeout": 1},
    }


def dispose(app: Flask, db: Any) -> None:
    with app.app_context():
        assert db.engine.pool.checkedout() == 0
        db.engine.dispose()


def test_what_an_evaluator_writes_is_undone(database: dict[str, Any]) -> None:
    module = recipe("with_sqlalchemy")
    app = module.create_app(**database)
    api = api_of(app)
    data = [{"input": "printer"}, {"input": "printer"}]
    assert api.outputs(name="add_ticket", data=data) == [1, 1]
    with app.app_context():
        assert module.db.session.query(module.Ticket).count() == 0
        module.db.session.remove()
    dispose(app, module.db)


def test_each_case_and_each_of_several_scorers_has_a_session_of_its_own(
    database: dict[str, Any],
) -> None:
    module = recipe("with_sqlalchemy")
    bp = EvalsBlueprint("more", __name__)
    sessions: list[tuple[str, Any]] = []

    def query(who: str) -> int:
        sessions.append((who, module.db.session()))  # kept, so that no id is used twice
        return int(module.db.session.query(module.Ticket).count())

    def task(input: Any) -> int:
        module.db.session.add(module.Ticket(text="not committed"))
        module.db.session.flush()
        count = query("task")
        module.db.session.rollback()
        return count

    def one(output: Any) -> int:
        return 1 + query("one")

    def two(output: Any) -> int:
        return 1 + query("two")

    bp.evaluator("several", scores=[one, two], max_concurrency=1)(task)
    app = module.create_app(**{**database, "SQLALCHEMY_ENGINE_OPTIONS": {}})
    app.register_blueprint(bp, url_prefix="/more")
    api = api_of(app, "/more")
    summary = api.summary(name="several", data=[{"input": 1}, {"input": 2}])
    assert {name: score["score"] for name, score in summary["scores"].items()} == {
        "one": 1.0,
        "two": 1.0,
    }
    assert len({id(session) for _, session in sessions}) == len(sessions) == 6
    dispose(app, module.db)


def test_data_may_be_read_from_the_database_row_by_row(database: dict[str, Any]) -> None:
    module = recipe("with_sqlalchemy")
    bp = EvalsBlueprint("more", __name__)

    def tickets() -> Any:
        for ticket in module.db.session.query(module.Ticket).order_by(module.Ticket.id):
            yield {"input": ticket.text}

    def pages() -> Any:
        return ({"input": each.text} for each in module.db.session.query(module.Ticket))

    bp.evaluator("tickets", data=tickets)(lambda input: input)
    bp.evaluator("pages", data=pages)(lambda input: input)
    app = module.create_app(**{**database, "SQLALCHEMY_ENGINE_OPTIONS": {}})
    app.register_blueprint(bp, url_prefix="/more")
    with app.app_context():
        module.db.session.add_all([module.Ticket(text="a"), module.Ticket(text="b")])
        module.db.session.commit()
    for name in ("tickets", "pages"):
        assert api_of(app, "/more").outputs(name=name, data={"own": True}) == ["a", "b"]
        with app.app_context():
            result = bp.registry.get(name).run(scope=app.app_context)
        assert [each.output for each in result.results] == ["a", "b"]
    dispose(app, module.db)


def test_tasks_that_go_on_after_their_time_out_give_their_connections_back(
    database: dict[str, Any],
) -> None:
    module = recipe("with_sqlalchemy")
    bp = EvalsBlueprint("more", __name__)
    may_go_on = threading.Event()

    @bp.evaluator("late", task_timeout=0.05)
    def late(input: Any) -> None:
        assert may_go_on.wait(20)
        module.db.session.add(module.Ticket(text="never committed"))
        module.db.session.flush()

    app = module.create_app(**{**database, "SQLALCHEMY_ENGINE_OPTIONS": {}})
    app.register_blueprint(bp, url_prefix="/more")
    summary = api_of(app, "/more").summary(name="late", data=[{"input": 1}] * 3)
    assert summary["errors"]["cases"] == 3
    with app.app_context():
        may_go_on.set()
        for _ in range(20):  # of as many requests, one might find a session that was left behind
            with app.app_context():
                module.db.session.commit()
                assert module.db.session.query(module.Ticket).count() == 0
        eventually(lambda: module.db.engine.pool.checkedout() == 0)
    dispose(app, module.db)


@pytest.mark.slow
def test_more_cases_at_a_time_than_the_pool_has_connections_fail_with_its_name(
    database: dict[str, Any],
) -> None:
    module = recipe("with_sqlalchemy")
    bp, released, failed = EvalsBlueprint("holders", __name__), threading.Event(), []

    @bp.evaluator(max_concurrency=4)
    def hold(input: Any) -> int:
        try:
            count = int(module.db.session.query(module.Ticket).count())
        except Exception:
            failed.append(input)
            if len(failed) == 2:
                released.set()
            raise
        happens(released)
        return count

    app = module.create_app(**database)
    app.register_blueprint(bp, url_prefix="/holders")
    api = api_of(app, "/holders")
    data = [{"input": number} for number in range(4)]
    errors = failures(api, name="hold", data=data, max_concurrency=4)
    assert len(errors) == 2
    assert all("QueuePool limit of size 2" in error for error in errors)
    # One at a time for each connection is fine.
    assert api.outputs(name="hold", data=data[:2], max_concurrency=2) == [0, 0]
    dispose(app, module.db)


@pytest.mark.slow
def test_a_coroutine_that_queries_in_a_thread_holds_no_connection(
    database: dict[str, Any],
) -> None:
    module, sqlalchemy = recipe("async_database"), recipe("with_sqlalchemy")
    bp = EvalsBlueprint("blocking", __name__)

    @bp.evaluator(max_concurrency=20)
    async def holds(input: Any) -> int:
        count = int(sqlalchemy.db.session.query(sqlalchemy.Ticket).count())
        await asyncio.sleep(0.05)
        return count

    app = sqlalchemy.create_app(**database)
    app.register_blueprint(module.evals, url_prefix="/async")
    app.register_blueprint(bp, url_prefix="/blocking")
    with app.app_context():
        sqlalchemy.db.session.add(sqlalchemy.Ticket(text="a printer"))
        sqlalchemy.db.session.commit()
    data = [{"input": "printer"}] * 8
    counts = api_of(app, "/async").outputs(name="similar", data=data, max_concurrency=8)
    assert counts == [1] * 8
    # What the page warns of: the others cannot give their connections back.
    (error, *_) = failures(api_of(app, "/blocking"), name="holds", data=data, max_concurrency=4)
    assert "QueuePool limit of size 2" in error
    dispose(app, sqlalchemy.db)


# --- Login and addresses ---


def test_a_case_has_the_user_that_it_is_given() -> None:
    module = recipe("with_login")
    app = module.create_app(**NO_AUTH, SECRET_KEY="secret")
    app.add_url_rule("/page", "page", lambda: "a page")
    api = api_of(app)
    assert api.outputs(name="greet", data=[{"input": 1}]) == ["hello ada"]
    parameters = {"user": "eve"}
    assert api.outputs(name="greet", data=[{"input": 1}], parameters=parameters) == ["hello eve"]
    assert api.client.get("/page").status_code == 401


def test_addresses_can_be_made_in_a_case() -> None:
    hosts = {"BRAINTRUST_EVALS_HOSTS": "tools.example.com"}
    api = api_of(recipe("with_addresses").create_app(**NO_AUTH, **hosts))
    data, addresses = [{"input": 7}], ["https://tools.example.com/tickets/7"]
    assert api.outputs(name="link", data=data) == addresses
    without = api_of(recipe("with_addresses").create_app(**NO_AUTH, SERVER_NAME=None))
    (error,) = failures(without, name="link", data=data)
    assert "SERVER_NAME" in error
    assert without.outputs(name="link_without_server_name", data=data) == addresses


# --- Protection ---


def test_extensions_that_protect_an_application() -> None:
    app = recipe("with_protection").create_app(**NO_AUTH)
    app.add_url_rule("/page", "page", lambda: "a page", methods=["GET", "POST"])
    api = api_of(app)
    https: Any = {"base_url": "https://localhost"}
    preflight = {"Origin": PAGE, "Access-Control-Request-Method": "POST"}
    for number in range(70):  # beyond the limit
        answer = api.open("OPTIONS", "/eval", headers=preflight, **https)
        assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (204, PAGE)
        assert api.get("/list", **https).status_code == 200, number
    body = {"name": "shout", "data": [{"input": "a"}], "stream": True}
    headers = {"Accept-Encoding": "br, gzip"}
    stream = api.post("/eval", json=body, headers=headers, **https)
    assert b'"data":"\\"A\\""' in stream.data
    assert api.get("/list").status_code == 302  # Talisman, to HTTPS
    statuses = [api.client.get("/page", **https).status_code for _ in range(61)]
    assert statuses == [200] * 60 + [429]
    assert api.client.post("/page", **https).status_code == 400


class Collected(Transport):
    """Keeps what would be sent to Sentry."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def capture_envelope(self, envelope: Any) -> None:
        self.texts.append(envelope.serialize().decode("utf-8", "replace"))


TOKEN = "sk-a-token-that-nobody-may-see"


@pytest.mark.parametrize("header", ["x-bt-auth-token", "Authorization"])
def test_sentry_gets_no_token(cloud: StandIn, monkeypatch: pytest.MonkeyPatch, header: str) -> None:
    cloud.add_user(TOKEN)
    module, init, collected = recipe("with_sentry"), sentry_sdk.init, Collected()
    options: dict[str, Any] = {"transport": collected, "auto_session_tracking": False}
    # Those of all libraries that are installed would take seconds to import.
    options.update(auto_enabling_integrations=False, integrations=[FlaskIntegration()])
    monkeypatch.setattr(sentry_sdk, "init", lambda dsn, **given: init(dsn, **given, **options))
    bp = module.evals_bp
    bp.evaluator("echo")(lambda input: input)

    def extra() -> str:
        raise KeyError("a fault of the application")

    bp.add_url_rule("/extra", "extra", extra)

    app = module.create_app("https://key@sentry.example.com/1", BRAINTRUST_APP_URL=cloud.url)

    def broken(response: Any) -> Any:
        if response.direct_passthrough:
            raise KeyError("another fault of the application")
        return response

    app.after_request(broken)

    try:
        api = Api(app, token=None)
        headers = {header: TOKEN if header != "Authorization" else f"Bearer {TOKEN}"}
        assert api.get("/list", headers=headers).status_code == 200
        error_of(api.eval(headers, data=[{"input": 1}]), 500)
        error_of(api.get("/extra", headers=headers), 500)
        sentry_sdk.flush()
    finally:
        sentry_sdk.get_global_scope().set_client(None)
    text = "\n".join(collected.texts)
    assert "another fault of the application" in text and "a fault of the application" in text
    assert "X-Bt-Org-Name" in text or "Host" in text  # headers are recorded
    assert TOKEN not in text


# --- Mounts ---


def test_an_application_below_a_prefix_behind_a_proxy() -> None:
    module = recipe("below_a_prefix")
    app = module.create_app(BRAINTRUST_EVALS_AUTH="none", BRAINTRUST_EVALS_OPENAPI=True)
    api = api_of(app)
    assert api.outputs(name="shout", data=[{"input": "a"}]) == ["A"]
    site = Flask("site")
    site.wsgi_app = module.create_site(  # type: ignore[method-assign]
        BRAINTRUST_EVALS_AUTH="none", BRAINTRUST_EVALS_OPENAPI=True
    )
    mounted = api_of(site, "/tools/evals")
    assert mounted.outputs(name="shout", data=[{"input": "a"}]) == ["A"]
    document = mounted.get("/openapi.json").get_json()
    assert document["servers"] == [{"url": "/tools/evals"}]
    error_of(mounted.get("/x"), 404)
    proxied = {"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Prefix": "/tools"}
    assert "comes from one" in error_of(api.get("/list", headers=proxied), 403)


def test_spans_of_requests_have_no_token_if_the_variable_of_the_page_is_set(
    cloud: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS"
    names = "authorization,x-bt-auth-token"
    text = " ".join(PAGE_OF_RECIPES.read_text("utf-8").split())
    assert f"`{prefix}_SANITIZE_FIELDS` is `{names}`" in text
    monkeypatch.setenv(f"{prefix}_SERVER_REQUEST", ".*")
    monkeypatch.setenv(f"{prefix}_SANITIZE_FIELDS", names)
    cloud.add_user(TOKEN)
    bp, app, exporter = EvalsBlueprint(), Flask(__name__), InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    app.config["BRAINTRUST_APP_URL"] = cloud.url
    app.register_blueprint(bp, url_prefix="/evals")
    FlaskInstrumentor().instrument_app(  # type: ignore[no-untyped-call]
        app, tracer_provider=provider
    )
    api = Api(app, token=None)
    for headers in ({"x-bt-auth-token": TOKEN}, {"Authorization": f"Bearer {TOKEN}"}):
        assert api.get("/list", headers=headers).status_code == 200
    text = "".join(span.to_json() for span in exporter.get_finished_spans())
    assert text.count("REDACTED") == 2
    assert TOKEN not in text
