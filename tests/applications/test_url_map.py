"""Extensions that read the rules of an application work beside ours, as they do without it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, g, jsonify, request, url_for
from flask.testing import FlaskClient
from werkzeug.routing import BuildError

from flask_braintrust_evals.errors import RegistrationError
from tests.web.support import PAGE, blueprint_of, error_of

pytestmark = pytest.mark.filterwarnings(
    # Of libraries that are years old, about what else they use.
    "ignore::DeprecationWarning",
    "ignore::PendingDeprecationWarning",
    "ignore::UserWarning:flask_restx",
)

EVERYTHING = {
    "BRAINTRUST_EVALS_AUTH": "none",
    "BRAINTRUST_EVALS_OPENAPI": True,
    "BRAINTRUST_EVALS_PLAYGROUND": True,
}


def hello() -> str:
    """Say hello.
    ---
    responses:
      200:
        description: A greeting.
    """
    return "hello"


def debug_toolbar(app: Flask) -> str:
    from flask_debugtoolbar import DebugToolbarExtension

    app.debug, app.secret_key = True, "secret"
    DebugToolbarExtension(app)
    app.add_url_rule("/page", "page", lambda: "<html><body>a page</body></html>")
    return "/page"


def flasgger(app: Flask) -> str:
    from flasgger import Swagger

    Swagger(app)
    return "/apispec_1.json"


def flask_swagger(app: Flask) -> str:
    from flask_swagger import swagger

    app.add_url_rule("/spec", "spec", lambda: jsonify(swagger(app)))
    return "/spec"


def spectree(app: Flask) -> str:
    from spectree import SpecTree

    SpecTree("flask", path="docs").register(app)
    return "/docs/openapi.json"


def sitemap(app: Flask) -> str:
    from flask_sitemap import Sitemap

    app.config.update(SITEMAP_INCLUDE_RULES_WITHOUT_PARAMS=True, SERVER_NAME="localhost")
    Sitemap(app)
    return "/sitemap.xml"


def restx(app: Flask) -> str:
    from flask_restx import Api

    Api(app, prefix="/api", doc="/api")
    return "/api/swagger.json"


def smorest(app: Flask) -> str:
    from flask_smorest import Api

    app.config.update(API_TITLE="t", API_VERSION="1", OPENAPI_VERSION="3.1.0")
    app.config.update(OPENAPI_URL_PREFIX="/docs", OPENAPI_JSON_PATH="openapi.json")
    Api(app)
    return "/docs/openapi.json"


def own_list(app: Flask) -> str:
    """The usual snippet that lists all routes."""

    def routes() -> str:
        lines = []
        for rule in app.url_map.iter_rules():
            arguments: dict[str, Any] = {name: f"[{name}]" for name in rule.arguments}
            address = url_for(rule.endpoint, **arguments)
            lines.append(f"{rule.endpoint} {','.join(sorted(rule.methods or ()))} {address}")
            assert rule.methods is not None
        return "\n".join(lines)

    app.add_url_rule("/routes", "routes", routes)
    return "/routes"


READERS: list[Callable[[Flask], str]] = [
    debug_toolbar, flasgger, flask_swagger, spectree, sitemap, restx, smorest, own_list
]  # fmt: skip


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: str(reader.__name__))
def test_what_reads_the_rules_is_not_disturbed(reader: Callable[[Flask], str]) -> None:
    def page(*prefixes: str | None) -> str:
        app = Flask(__name__)
        app.config.update(EVERYTHING, TESTING=True)
        app.add_url_rule("/hello", "hello", hello)
        for prefix in prefixes:
            app.register_blueprint(blueprint_of(), url_prefix=prefix)
        response = app.test_client().get(reader(app))
        assert response.status_code == 200, (prefixes, response.text)
        return str(response.text)

    assert "hello" in page() or reader in (spectree, restx, smorest)
    for prefix in ("/evals", "/<tenant>/evals", None):
        text = page(prefix)
        # Nothing of the inside is shown.
        assert "evals_rest" not in text, prefix
        assert "unknown" not in text.replace("unknown-", ""), prefix


def test_an_apiflask_application_describes_itself() -> None:
    from apiflask import APIFlask

    app = APIFlask(__name__)
    app.config.update(EVERYTHING)
    app.add_url_rule("/hello", "hello", hello)
    app.register_blueprint(blueprint_of(), url_prefix="/evals")
    client = app.test_client()
    document = client.get("/openapi.json")
    assert document.status_code == 200, document.text
    assert "/hello" in document.get_json()["paths"]
    assert client.get("/evals/list").get_json().keys() == {"echo"}
    assert client.get("/nothing").status_code == 404
    error_of(client.get("/evals/nothing"), 404)


def rules(prefix: str | None) -> dict[str, list[str]]:
    app = Flask(__name__)
    app.config.update(EVERYTHING)
    app.register_blueprint(blueprint_of(), url_prefix=prefix)
    found: dict[str, list[str]] = {}
    for rule in app.url_map.iter_rules():
        assert rule.methods is not None, rule
        if rule.endpoint != "static":
            assert rule.rule not in found
            found[rule.rule] = sorted(rule.methods)
    return found


@pytest.mark.parametrize("prefix", [None, "/evals"])
def test_every_rule_is_one_of_the_documented_paths_with_its_methods(prefix: str | None) -> None:
    read = ["GET", "HEAD", "OPTIONS"]
    at = prefix or ""
    assert rules(prefix) == {
        f"{at}/": read,
        f"{at}/ready": read,
        f"{at}/list": ["GET", "HEAD", "OPTIONS", "POST"],
        f"{at}/eval": ["OPTIONS", "POST"],
        f"{at}/runs": read,
        f"{at}/runs/<run_id>": ["DELETE", "OPTIONS"],
        f"{at}/openapi.json": read,
        f"{at}/playground": read,
        f"{at}/playground/<file>": read,
    }


# --- What no rule names ---


@pytest.fixture
def app() -> Flask:
    app = Flask(__name__)
    app.config.update(EVERYTHING)
    app.add_url_rule("/evals/report", "report", lambda: "a report")
    return app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.mark.parametrize(
    "path",
    ["", "/", "//", "/list", "//list", "/list/", "/eval", "/openapi.json", "/playground"]
    + ["/playground/page.js", "/playground/<file>", "/nothing", "/nothing/at/all//"],
)
def test_every_method_of_every_path_is_answered_by_us(
    app: Flask, client: FlaskClient, path: str
) -> None:
    app.register_blueprint(blueprint_of(), url_prefix="/evals")
    for method in ("GET", "PUT", "TRACE", "BREW", "OPTIONS"):
        with client.open(f"/evals{path}", method=method, headers={"Origin": PAGE}) as response:
            check(response, method, path)


def check(response: Any, method: str, path: str) -> None:
    assert response.headers.get("Access-Control-Allow-Origin") == PAGE, method
    if method == "OPTIONS":
        assert response.status_code == 204
    elif response.status_code >= 400:
        assert error_of(
            response, 405 if method != "GET" and "nothing" not in path else response.status_code
        )
    else:
        assert method == "GET"


def test_routes_of_the_application_below_our_prefix_have_their_own_errors(
    app: Flask, client: FlaskClient
) -> None:
    app.register_blueprint(blueprint_of(), url_prefix="/evals")
    response = client.post("/evals/report", headers={"Origin": PAGE})
    assert (response.status_code, response.mimetype) == (405, "text/html")
    assert "GET" in response.headers["Allow"]
    assert client.get("/evals/report").text == "a report"


def test_hooks_of_the_blueprint_are_called_for_what_no_rule_names(
    app: Flask, client: FlaskClient
) -> None:
    bp = blueprint_of()
    seen: list[Any] = []

    @bp.before_request
    def refuse() -> tuple[str, int]:
        return "not today", 418

    @bp.after_request
    def note(response: Any) -> Any:
        seen.append(response.status_code)
        return response

    app.register_blueprint(bp, url_prefix="/evals")
    for method, path in (("GET", "//list"), ("GET", "/list/"), ("PUT", "/list"), ("GET", "/x")):
        assert client.open(f"/evals{path}", method=method).text == "not today", (method, path)
    assert seen == [418] * 4


def test_variables_of_the_prefix_are_told_to_the_blueprint_for_what_no_rule_names() -> None:
    bp, app = blueprint_of(), Flask(__name__)
    app.config.update(EVERYTHING)

    @bp.url_value_preprocessor
    def tenant(endpoint: str | None, values: dict[str, Any] | None) -> None:
        assert values is not None
        g.tenant = values.pop("tenant")

    @bp.before_request
    def only_acme() -> tuple[str, int] | None:
        return None if g.tenant == "acme" else ("no", 403)

    app.register_blueprint(bp, url_prefix="/<tenant>/evals")
    client = app.test_client()
    for path in ("list", "/list", "list/"):
        assert client.get(f"/acme/evals/{path}").get_json().keys() == {"echo"}
        assert client.get(f"/globex/evals/{path}").status_code == 403
    error_of(client.get("/acme/evals/nothing"), 404)
    error_of(client.put("/acme/evals/list"), 405)


def test_the_application_builds_the_address_of_every_request_of_ours() -> None:
    app, built = Flask(__name__), list[str]()
    app.config.update(EVERYTHING)
    app.register_blueprint(blueprint_of(), url_prefix="/<tenant>/evals")

    @app.before_request
    def build() -> None:
        assert request.endpoint is not None
        values = request.view_args or {}
        built.append(url_for(request.endpoint, **values))
        built.append(url_for(request.endpoint, _external=True, _scheme="https", **values))
        built.append(url_for(request.endpoint, _anchor="a b", **values))

    for method, path in (("GET", "list"), ("GET", "no/where"), ("GET", ""), ("PUT", "list")):
        built.clear()
        app.test_client().open(f"/acme/evals/{path}", method=method)
        own = f"/acme/evals/{path}"
        assert built == [own, f"https://localhost{own}", f"{own}#a%20b"]
    with app.test_request_context(), pytest.raises(BuildError):
        url_for("nothing.of.ours")


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"url_prefix": "/<run_id>/evals"}, "run_id"),
        ({"url_prefix": "/<string:file>"}, "file"),
        ({"url_prefix": "/<evals_rest>"}, "evals_rest"),
        ({"url_prefix": "/<a>/<int(min=1):a>"}, "a"),
        ({"url_prefix": "/<a>", "subdomain": "<a>"}, "a"),
    ],
)
def test_an_address_whose_variable_is_there_twice_is_refused(
    options: dict[str, str], name: str
) -> None:
    app = Flask(__name__)
    app.config.update(EVERYTHING)
    with pytest.raises(RegistrationError, match=f"whose variable '{name}' is there twice"):
        app.register_blueprint(blueprint_of(), **options)
    app.register_blueprint(blueprint_of(name="other"), url_prefix="/<other>")


def test_on_a_subdomain_only_what_is_there_is_ours() -> None:
    app = Flask(__name__, subdomain_matching=True)
    app.config.update(EVERYTHING, SERVER_NAME="localhost")
    app.register_blueprint(blueprint_of(), subdomain="tools", url_prefix="/evals")
    client = app.test_client()
    there, elsewhere = "http://tools.localhost", "http://localhost"
    assert client.get("/evals/list", base_url=there).get_json().keys() == {"echo"}
    for path in ("nothing", "list"):
        response = client.put(f"/evals/{path}", base_url=there)
        error_of(response, 404 if path == "nothing" else 405)
        response = client.put(f"/evals/{path}", base_url=elsewhere)
        assert (response.status_code, response.mimetype) == (404, "text/html")


def test_hooks_of_the_application_see_a_request_of_the_blueprint(
    app: Flask, client: FlaskClient
) -> None:
    from flask import request

    seen = []
    app.before_request(lambda: seen.append((request.blueprint, request.endpoint)))
    app.register_blueprint(blueprint_of(), url_prefix="/evals")
    client.put("/evals/list")
    client.get("/evals/nothing")
    assert seen == [("evals", "evals.unknown")] * 2


def test_a_host_that_is_not_trusted_stays_refused(app: Flask, client: FlaskClient) -> None:
    app.config["TRUSTED_HOSTS"] = ["localhost"]
    app.register_blueprint(blueprint_of(), url_prefix="/evals")
    assert client.get("/evals/x", base_url="http://evil.example.com").status_code == 400
    assert client.get("/evals/x", base_url="http://localhost").status_code == 404


# --- Applications that match hosts ---


def hosted(**options: Any) -> FlaskClient:
    app = Flask(__name__, host_matching=True, static_host="localhost")
    app.config["BRAINTRUST_EVALS_AUTH"] = "none"
    app.config["BRAINTRUST_EVALS_HOSTS"] = ["one.example.com", "two.example.com"]
    app.add_url_rule("/", "home", lambda: "home", host="localhost")
    app.add_url_rule("/addresses", "addresses", lambda: url_for("evals.list"), host="localhost")
    app.register_blueprint(blueprint_of(), url_prefix="/evals", **options)

    @app.before_request
    def build() -> None:
        if request.endpoint is not None and request.endpoint.startswith("evals."):
            address = url_for(request.endpoint, **request.view_args or {})
            assert address.endswith(request.path), address

    return app.test_client()


def test_with_host_matching_the_blueprint_is_at_every_host() -> None:
    client = hosted()
    for host in ("localhost", "one.example.com", "two.example.com:8000"):
        base = f"http://{host}"
        assert client.get("/evals/list", base_url=base).get_json().keys() == {"echo"}
        error_of(client.get("/evals/nothing", base_url=base), 404)
        error_of(client.put("/evals/list", base_url=base), 405)
        assert client.options("/evals/eval", base_url=base).status_code == 204
    assert client.get("/").text == "home"
    assert client.get("/addresses").text == "/evals/list"


def test_with_host_matching_the_blueprint_may_be_given_a_host() -> None:
    client = hosted(host="one.example.com")
    there = "http://one.example.com"
    assert client.get("/evals/list", base_url=there).get_json().keys() == {"echo"}
    error_of(client.get("/evals/nothing", base_url=there), 404)
    for path in ("list", "nothing"):
        elsewhere = client.get(f"/evals/{path}", base_url="http://two.example.com")
        assert (elsewhere.status_code, elsewhere.mimetype) == (404, "text/html")
    assert client.get("/addresses").text == "http://one.example.com/evals/list"
