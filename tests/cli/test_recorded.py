"""``flask evals run`` with Braintrust: cases of a dataset, and runs recorded as experiments."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import Result
from flask import Flask

from flask_braintrust_evals import Evaluator
from flask_braintrust_evals.cloud import objects
from flask_braintrust_evals.engine.values.own_dataset import OwnDataset, OwnExperiment
from tests.standin import StandIn

from .test_run import app_of, evals, exact

KEY = "key-of-the-build"
ROWS = [{"input": "a", "expected": "a"}, {"input": "b", "expected": "x"}]


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    monkeypatch.setenv("BRAINTRUST_API_KEY", KEY)
    with StandIn() as cloud:
        cloud.add_user(KEY)
        monkeypatch.setenv("BRAINTRUST_APP_URL", cloud.url)
        yield cloud


def app(**options: Any) -> Flask:
    return app_of(
        Evaluator("echo", lambda input: input, scores=[exact], project="helpdesk", **options)
    )


def run(*arguments: str, **options: Any) -> Result:
    return evals(app(**options), "run", "echo", *arguments)


def test_a_dataset_is_run_and_nothing_is_recorded(cloud: StandIn) -> None:
    dataset = cloud.add_dataset("acme", "helpdesk", "tickets", ROWS)
    result = run("--dataset", dataset, "--json")
    assert result.exit_code == 0, result.output
    body = json.loads(result.stdout)
    assert [each["output"] for each in body["results"]] == ["a", "b"]
    assert body["experiment"] is None
    assert (cloud.spans, cloud.experiments) == ([], [])


def test_an_experiment_holds_the_run_and_its_address_is_printed(cloud: StandIn) -> None:
    dataset = cloud.add_dataset("acme", "helpdesk", "tickets", ROWS)
    result = run("--dataset", dataset, "--experiment", "nightly")
    assert result.exit_code == 0, result.output
    (experiment,) = cloud.experiments
    assert (experiment["name"], experiment["dataset_id"]) == ("nightly", dataset)
    url = f"{cloud.url}/app/acme/p/helpdesk/experiments/nightly"
    assert result.stdout.splitlines()[-2] == f"recorded as nightly: {url}"
    assert len(cloud.spans) == 6
    assert {span.parent_header for span in cloud.spans} == {f"experiment_id:{experiment['id']}"}
    assert KEY not in result.output


def test_a_second_experiment_is_compared_with_the_first(cloud: StandIn) -> None:
    run("--experiment", "nightly", data=[{"input": "a", "expected": "x"}])
    result = run("--experiment", "nightly", data=[{"input": "a", "expected": "a"}])
    first, second = (each["name"] for each in cloud.experiments)
    assert second != first, "Braintrust gives it a name of its own"
    lines = result.stdout.splitlines()
    assert lines[:2] == [
        "score     mean   cases   change  better   worse",
        "exact   1.0000       1  +1.0000       1       0",
    ]
    assert "compared with nightly" in lines
    assert f"recorded as {second}: " in result.stdout


def test_an_experiment_that_could_not_be_compared_says_so(
    cloud: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "SUMMARY_TIMEOUT", 0.3)
    cloud.fault("GET", "/v1/experiment/.*/summarize", status=500, times=None)
    result = run("--experiment", "nightly", data=ROWS)
    assert "not compared: the comparison could not be had from Braintrust: " in result.stdout
    assert "compared with" not in result.stdout
    body = json.loads(run("--experiment", "nightly", "--json", data=ROWS).stdout)
    assert body["comparison"]["status"] == "skipped"
    assert "status 500" in body["comparison"]["reason"]
    assert body["passed"] is True, "it was not asked for a comparison"


def test_json_and_junit_name_the_experiment(cloud: StandIn, tmp_path: Any) -> None:
    file = tmp_path / "junit.xml"
    result = run("--experiment", "nightly", "--json", "--junit", str(file), data=ROWS)
    body = json.loads(result.stdout)
    assert body["experiment"]["experimentName"] == "nightly"
    assert body["experiment"]["experimentUrl"].startswith(cloud.url)
    assert body["lost_spans"] == 0
    (suite,) = ElementTree.parse(file).getroot()
    properties = {each.get("name"): each.get("value") for each in suite.iter("property")}
    assert properties == {"exact": "0.500000", "experiment": body["experiment"]["experimentUrl"]}


def test_spans_that_could_not_be_delivered_are_reported(cloud: StandIn) -> None:
    cloud.fault("POST", "/otel/v1/traces", status=400, times=None)
    result = run("--experiment", "nightly", data=ROWS)
    assert "6 spans could not be delivered: the experiment lacks them" in result.stdout
    assert result.exit_code == 1


@pytest.mark.parametrize("option", ["--dataset", "--experiment"])
def test_without_a_key_the_option_says_what_it_needs(
    cloud: StandIn, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    monkeypatch.delenv("BRAINTRUST_API_KEY")
    result = run(option, "x", data=ROWS)
    assert result.exit_code == 2
    assert f"{option}: set BRAINTRUST_API_KEY to your Braintrust API key" in result.stderr
    assert cloud.calls == []


def test_a_run_that_needs_no_braintrust_asks_it_nothing(cloud: StandIn) -> None:
    assert run(data=ROWS).exit_code == 0
    assert cloud.calls == []


def own_dataset() -> OwnDataset:
    return OwnDataset(dataset_name="tickets", project_name="helpdesk")


def test_an_evaluators_own_dataset_is_run_and_nothing_is_recorded(cloud: StandIn) -> None:
    cloud.add_dataset("acme", "helpdesk", "tickets", ROWS)
    result = run("--json", data=own_dataset())
    assert result.exit_code == 0, result.output
    assert [each["output"] for each in json.loads(result.stdout)["results"]] == ["a", "b"]
    assert (cloud.spans, cloud.experiments) == ([], [])
    before = len(cloud.calls)
    run("--data", "-", data=own_dataset())
    assert len(cloud.calls) == before


def test_the_cases_of_an_evaluators_own_experiment_are_run(cloud: StandIn) -> None:
    cloud.add_experiment("acme", "helpdesk", "before", ROWS)
    result = run("--json", data=OwnExperiment("before", "echo"))
    assert result.exit_code == 0, result.output
    assert [each["output"] for each in json.loads(result.stdout)["results"]] == ["a", "b"]


def test_a_key_that_a_later_evaluator_needs_is_asked_for_before_the_first_one_runs(
    cloud: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BRAINTRUST_API_KEY")
    ran: list[str] = []
    first = Evaluator("first", ran.append, data=[{"input": "a"}])
    second = Evaluator("second", ran.append, data=own_dataset())
    result = evals(app_of(first, second), "run", "--all")
    assert result.exit_code == 2
    assert "the data of evaluator 'second': set BRAINTRUST_API_KEY to" in result.stderr
    assert ran == []


def test_two_sources_of_cases_are_refused(cloud: StandIn) -> None:
    result = run("--data", "-", "--dataset", "x")
    assert (result.exit_code, "give one of them" in result.stderr) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--dataset", "nowhere"], "nowhere"),
        (["--experiment", "x", "--org", "globex"], "'globex' is not one of this token's; check"),
    ],
)
def test_what_braintrust_does_not_have_is_reported_and_nothing_is_made(
    cloud: StandIn, arguments: list[str], said: str
) -> None:
    result = run(*arguments, data=ROWS)
    assert result.exit_code == 1
    assert said in result.stderr
    assert "header" not in result.stderr
    assert cloud.experiments == []


def test_a_refused_key_is_reported_without_quoting_it(
    cloud: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BRAINTRUST_API_KEY", "key-of-yesterday")
    result = run("--experiment", "nightly", data=ROWS)
    assert result.exit_code == 1
    assert "does not accept this token" in result.stderr
    assert "key-of-yesterday" not in result.output


def test_a_key_of_several_organisations_asks_for_one(cloud: StandIn) -> None:
    cloud.add_user(KEY, orgs=("acme", "globex"))
    result = run("--experiment", "nightly", data=ROWS)
    assert result.exit_code == 1
    assert "('acme', 'globex'); name one in --org" in result.stderr
    for more in (["--org", "acme"], []):
        environ = {} if more else {"BRAINTRUST_ORG_NAME": "globex"}
        runner = app(data=ROWS).test_cli_runner(env=environ)
        chosen = runner.invoke(args=["evals", "run", "echo", "--experiment", "nightly", *more])
        assert chosen.exit_code == 0, chosen.output
        assert ("/app/globex/" in chosen.stdout) is not bool(more)


def test_an_exception_with_half_a_character_is_recorded_whole(
    cloud: StandIn, caplog: pytest.LogCaptureFixture
) -> None:
    def task(input: Any) -> Any:
        raise ValueError("bad \udcff")

    evaluator = Evaluator("e", task, data=[{"input": 1}])
    result = evals(app_of(evaluator), "run", "e", "--experiment", "nightly")
    assert result.exit_code == 1
    (span,) = cloud.spans_named("task")
    ((_, attributes),) = span.events
    assert attributes["exception.message"] == "bad \ufffd"
    assert [each.name for each in caplog.records if each.name.startswith("opentelemetry")] == []
