"""The local page's side of the server: its files, and what it asks for beyond the protocol."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import pytest
from flask import Flask

from flask_braintrust_evals import EvalCase, EvalHooks, Evaluator, Score
from flask_braintrust_evals.playground import page_files, report_page
from flask_braintrust_evals.playground.page_files import FOLDER
from tests.web.support import Api, Event, echo, error_of, make_app

SERVED = {
    "index.html": "text/html",
    "page.js": "text/javascript",
    "page.css": "text/css",
    "icon.svg": "image/svg+xml",
    "report.html": "text/html",
}


def exact(output: Any, expected: Any) -> Score:
    return Score("exact", float(output == expected), {"why": "compared"})


def task(input: Any, hooks: EvalHooks) -> Any:
    hooks.metadata["seen"] = True
    if input == "bad":
        raise ValueError("no good")
    return input


def broken(output: Any) -> float:
    raise RuntimeError("out of order")


def page_app(*evaluators: Evaluator, **config: Any) -> Flask:
    settings = {"BRAINTRUST_EVALS_AUTH": "none", "BRAINTRUST_EVALS_PLAYGROUND": True, **config}
    return make_app(*evaluators, **settings)


@pytest.fixture
def api() -> Api:
    own = [{"input": "own", "expected": "own"}]
    return Api(
        page_app(
            Evaluator("echo", task, scores=[exact, broken], data=own, description="Says it."),
            Evaluator("bare", echo),
        ),
        token=None,
    )


def test_the_page_and_all_of_its_files_are_served_under_a_strict_policy(api: Api) -> None:
    for path in ("/playground", *(f"/playground/{name}" for name in SERVED)):
        with api.get(path) as response:
            assert response.status_code == 200, path
            headers = response.headers
        policy = headers["Content-Security-Policy"].split("; ")
        assert {"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"} <= set(policy)
        assert not [each for each in policy if "unsafe" in each or "http" in each]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"


def test_a_report_without_results_is_made_for_the_page(api: Api) -> None:
    with api.get("/playground/report.html") as response:
        assert (response.status_code, response.mimetype) == (200, "text/html")
        assert report_page.SLOT in response.get_data(as_text=True)
        assert "script-src 'self'" in response.headers["Content-Security-Policy"]


@pytest.mark.parametrize("path", ["/playground", *(f"/playground/{name}" for name in SERVED)])
def test_a_browser_that_has_a_file_is_answered_with_304(api: Api, path: str) -> None:
    with api.get(path) as first:
        assert first.headers["Cache-Control"] == "no-cache"  # ask each time: the files may change
        assert first.data
        headers = {"If-None-Match": first.headers["ETag"]}
    with api.get(path, headers=headers) as second:
        assert (second.status_code, second.data) == (304, b"")
        assert "Content-Security-Policy" in second.headers
    too_long = headers["If-None-Match"] + ',"x"' * 1024
    for other in ('"other"', too_long):
        with api.get(path, headers={"If-None-Match": other}) as third:
            assert third.status_code == 200
    with api.open("HEAD", path) as head:
        assert (head.status_code, head.data) == (200, b"")
        assert head.headers["ETag"] == headers["If-None-Match"]


@pytest.mark.parametrize(("name", "kind"), SERVED.items())
def test_a_file_is_of_its_type(api: Api, name: str, kind: str) -> None:
    with api.get(f"/playground/{name}") as response:
        assert response.mimetype == kind


def test_the_page_loads_one_script_and_one_style_which_have_all_others(api: Api) -> None:
    page = api.get("/playground").text
    loaded = re.findall(r'(?:href|src)="(?:playground/)?([\w.]+)"', page)
    assert sorted(loaded) == ["icon.svg", "page.css", "page.js"]
    script = api.get("/playground/page.js").text
    modules = {each.name for each in FOLDER.glob("*.js")} - {report_page.ENTRY}
    assert set(re.findall(r'^modules\["([\w.]+)', script, re.MULTILINE)) >= modules
    style = api.get("/playground/page.css").text
    sheets = {each.name for each in FOLDER.glob("*.css")}
    assert sheets == {*page_files.STYLES, report_page.STYLE}
    assert all((FOLDER / name).read_text("utf-8") in style for name in page_files.STYLES)


def test_the_page_names_nothing_of_other_hosts() -> None:
    for path in FOLDER.iterdir():
        text = path.read_text("utf-8")
        code = [line for line in text.splitlines() if not line.lstrip().startswith("//")]
        links = [line for line in code if "http://" in line or "https://" in line]
        assert all("http://www.w3.org/2000/svg" in each or "owasp" in each for each in links), path
        for sink in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert sink not in text, path


@pytest.mark.parametrize(
    "path",
    [
        "nothing.js",
        "main.js",
        "page_files.py",
        "../errors.py",
        "..%2ferrors.py",
        "%2e%2e/errors.py",
        "py.typed",
        "..",
    ],
)
def test_no_other_file_is_served(api: Api, path: str) -> None:
    assert api.get(f"/playground/{path}").status_code == 404


def test_a_slash_at_the_end_leads_to_the_page(api: Api) -> None:
    response = api.get("/playground/")
    assert (response.status_code, response.headers["Location"]) == (308, "../playground")


def test_without_the_setting_there_is_no_page() -> None:
    api = Api(page_app(BRAINTRUST_EVALS_PLAYGROUND=False), token=None)
    for path in ("/playground", "/playground/page.js"):
        error_of(api.get(path), 404)


def test_without_a_prefix_the_path_is_the_applications_own_unless_the_page_is_on() -> None:
    app = make_app(url_prefix=None)
    app.add_url_rule("/playground", view_func=lambda: "the application's")
    assert app.test_client().get("/playground").text == "the application's"


def test_the_page_needs_no_token_and_what_it_asks_for_does() -> None:
    api = Api(page_app(BRAINTRUST_EVALS_AUTH="braintrust"), token=None)
    with api.get("/playground") as response:
        assert response.status_code == 200
    error_of(api.get("/list?details=true"), 401)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://localhost"}, 200),
        ({"Origin": "https://localhost"}, 200),  # behind a proxy with TLS
        ({"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": "http://localhost", "Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "http://localhost:8000"}, 403),
        ({"Origin": "http://localhost.evil.com"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://evil.com", "Host": "evil.com"}, 403),
    ],
)
def test_the_page_may_use_the_server_that_it_is_from(
    api: Api, headers: dict[str, str], status: int
) -> None:
    response = api.eval({"Host": "localhost", **headers})
    assert response.status_code == status
    assert "Access-Control-Allow-Origin" not in response.headers


def test_without_the_page_its_origin_is_any_other() -> None:
    api = Api(page_app(BRAINTRUST_EVALS_PLAYGROUND=False), token=None)
    api.refusal(403, {"Host": "localhost", "Origin": "http://localhost"})


def test_the_detailed_list_adds_what_the_playground_has_no_field_for(api: Api) -> None:
    plain, detailed = api.get("/list").get_json(), api.get("/list?details=true").get_json()
    more = {"has_data": True, "cases": 1, "examples": [{"input": "own", "expected": "own"}]}
    assert detailed["echo"] == {**plain["echo"], **more, "description": "Says it."}
    assert detailed["bare"] == {**plain["bare"], "has_data": False}
    assert api.get("/list?details=no").get_json() == plain


class Plain:
    def __str__(self) -> str:
        return "an object"


@pytest.mark.parametrize(
    ("data", "cases", "examples"),
    [
        pytest.param([{"input": n} for n in range(9)], 9, [{"input": n} for n in range(3)]),
        pytest.param(
            (EvalCase("a", None, {"m": 1}, ["t"], id=7), {"input": Plain()}),
            2,
            [
                {"input": "a", "metadata": {"m": 1}, "tags": ["t"], "id": "7"},
                {"input": "an object"},
            ],
        ),
        pytest.param([{"input": "a"}, {"input": "x" * 9_000}], 2, [{"input": "a"}], id="large"),
        pytest.param([{"input": "a"}, {"wrong": "b"}], 2, [{"input": "a"}], id="wrong"),
        pytest.param([], 0, [], id="none"),
    ],
)
def test_the_first_own_cases_are_examples(data: Any, cases: int, examples: list[Any]) -> None:
    api = Api(page_app(Evaluator("echo", task, data=data)), token=None)
    listed = api.get("/list?details=true").get_json()["echo"]
    assert (listed["cases"], listed["examples"]) == (cases, examples)


def test_the_page_is_told_how_many_trials_there_are() -> None:
    data = [{"input": 1}, {"input": 2, "trial_count": 3}, EvalCase(3, trial_count=2), 4]
    wrong = [{"input": 5, "trial_count": each} for each in (True, "2", None)]
    several = Evaluator("several", task, data=[*data, *wrong], trial_count=4)
    api = Api(page_app(several, Evaluator("one", task, data=[{"input": 1}])), token=None)
    listed = api.get("/list?details=true").get_json()
    assert listed["several"]["trial_count"] == 4
    assert listed["several"]["own_trials"] == {"cases": 2, "trials": 5}
    assert {"trial_count", "own_trials"}.isdisjoint(listed["one"])


def test_own_cases_that_are_no_list_are_not_read_for_the_page() -> None:
    def data() -> list[Any]:
        raise AssertionError("read")

    api = Api(page_app(Evaluator("echo", task, data=data)), token=None)
    listed = api.get("/list?details=true").get_json()["echo"]
    assert listed["has_data"]
    assert {"cases", "examples"}.isdisjoint(listed)


def test_the_page_is_told_which_application_it_belongs_to() -> None:
    def told(app: Flask, prefix: str = "/evals", base: str = "/") -> str:
        url = f"{prefix}/list?details=true"
        response = app.test_client().get(url, base_url=f"http://localhost{base}")
        return response.headers["x-evals-application"]

    first = page_app(Evaluator("echo", task))
    assert told(first) == told(first)
    moved = page_app(Evaluator("echo", task), url_prefix="/other")
    elsewhere = page_app(Evaluator("echo", task))
    elsewhere.root_path = "/srv/another"
    ids = [told(first), told(moved, "/other"), told(elsewhere), told(first, base="/mounted")]
    assert len(set(ids)) == 4
    assert "x-evals-application" not in first.test_client().get("/evals/list").headers


def of_type(events: list[Event], kind: str) -> list[Any]:
    return [json.loads(each.data) for each in events if each.type == kind]


def test_cases_are_sent_in_full_on_request(api: Api) -> None:
    data = [{"input": "a", "expected": "a", "tags": ["t"]}, {"input": "bad"}]
    events = api.events(data=data, case_results=True)

    first, second = of_type(events, "case_start")
    assert first | {"id": ""} == {
        "id": "",
        "index": 0,
        "trial_index": 0,
        "input": "a",
        "expected": "a",
    }
    good, bad = of_type(events, "case_result")
    assert (good.pop("id"), bad.pop("id")) == (first["id"], second["id"])
    assert good.pop("duration") > 0
    assert good.pop("metrics")["duration"] > 0
    assert good == {
        "scores": {"exact": {"score": 1.0, "metadata": {"why": "compared"}}},
        "classifications": {},
        "metadata": {"seen": True},
        "tags": ["t"],
        "scorer_errors": {"broken": "RuntimeError: out of order"},
    }
    assert bad["error"] == "ValueError: no good"
    kinds = [each.type for each in events]
    assert kinds.index("case_start") < kinds.index("progress") < kinds.index("case_result")
    assert kinds[-2:] == ["summary", "done"]


@pytest.mark.parametrize("asked", [None, False])
def test_cases_are_not_sent_in_full_otherwise(api: Api, asked: bool | None) -> None:
    kinds = {each.type for each in api.events(data=[{"input": 1}], case_results=asked)}
    assert kinds == {"progress", "summary", "done"}


def test_values_without_a_json_form_say_so_where_they_stand() -> None:
    circular: list[Any] = []
    circular.append(circular)
    own = [{"input": circular, "expected": math.nan}]
    api = Api(page_app(Evaluator("echo", lambda input: 1, data=own)), token=None)
    (start,) = of_type(api.events(data={"own": True}, case_results=True), "case_start")
    assert start["input"] == ["<not serializable: a list contains itself>"]
    assert start["expected"] == "NaN"


# --- The evaluator's own data ---


def test_the_evaluators_own_data_is_run_on_request(api: Api) -> None:
    assert api.outputs(data={"own": True}) == ["own"]
    assert api.refusal(400, data=None).startswith("data: missing")


def test_an_evaluator_without_data_of_its_own_says_so(api: Api) -> None:
    text = api.refusal(400, name="bare", data={"own": True})
    assert text == "data.own: evaluator 'bare' has no cases of its own; send some"


def test_own_data_is_one_source_as_any_other(api: Api) -> None:
    both = api.refusal(400, data={"own": True, "data": []})
    assert both.startswith("data: found data.data and data.own; ")
    assert api.refusal(400, data={"own": False}) == "data.own: got boolean; expected true"


def test_data_that_fails_is_reported_by_the_stream() -> None:
    def data() -> Any:
        raise OSError("no such file")

    api = Api(page_app(Evaluator("echo", echo, data=data)), token=None)
    text = "evaluator 'echo': data could not be read: OSError: no such file"
    assert api.events(data={"own": True})[0].data == json.dumps(text)
    assert api.refusal(500, data={"own": True}, stream=False) == text
