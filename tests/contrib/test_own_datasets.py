"""Datasets and experiments of the SDK as the data of an evaluator: read as the caller."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import braintrust
import pytest
from braintrust.logger import (
    Dataset,
    Experiment,
    ExperimentDatasetIterator,
    ObjectIterator,
    ReadonlyExperiment,
)
from braintrust.util import LazyValue

from flask_braintrust_evals import Evaluator, Session
from flask_braintrust_evals.contrib.braintrust.evaluators import from_sdk
from flask_braintrust_evals.errors import RegistrationError
from flask_braintrust_evals.runs.remote import _is_attachment
from tests.standin import StandIn
from tests.support import TOKEN
from tests.web.support import Api, api_of, deltas, make_app

from .support import echo, exact, sdk_evaluator

ROWS: list[dict[str, Any]] = [
    {"id": "r1", "_xact_id": "11", "created": "c1", "input": "a", "expected": "a"},
    {"id": "r2", "_xact_id": "12", "created": "c2", "input": "b"},
]
OWN = {"own": True}


@pytest.fixture(autouse=True)
def the_application_has_a_key_of_its_own(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("BRAINTRUST_API_KEY", "sk-of-the-application")
    monkeypatch.setenv("BRAINTRUST_APP_URL", "http://127.0.0.1:1")
    yield
    assert not braintrust.logger._internal_get_global_state().logged_in


@pytest.fixture
def dataset_id(cloud: StandIn) -> str:
    versions: dict[str | int, Any] = {"41": ROWS[:1]}
    environments: dict[str, str | int] = {"live": "41"}
    return cloud.add_dataset(
        "acme", "geo", "letters", ROWS, versions=versions, environments=environments
    )


def api_with(cloud: StandIn, data: Any) -> Api:
    return api_of(cloud, from_sdk(sdk_evaluator(eval_name="echo", data=data, scores=[exact])))


def letters(**options: Any) -> Any:
    return braintrust.init_dataset("geo", "letters", **options)


async def later() -> Any:
    return letters()


class Loader:
    def __call__(self) -> Any:
        return letters()


SOURCES: dict[str, Any] = {
    "by name": letters,
    "by a function": lambda: letters,
    "by a lambda": lambda: lambda: letters(),
    "by an async function": lambda: later,
    "by a partial": lambda: functools.partial(braintrust.init_dataset, "geo", "letters"),
    "by an object": lambda: Loader(),
    "by its iterator": lambda: iter(letters()),
    "by fetch": lambda: letters().fetch(batch_size=1),
    "by a function that fetches": lambda: lambda: letters().fetch(),
}


@pytest.mark.usefixtures("dataset_id")
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("kind", ["of the SDK", "of this package"])
def test_the_rows_are_read_as_the_caller_and_name_their_origin(
    cloud: StandIn, kind: str, source: str
) -> None:
    data = SOURCES[source]()
    evaluator = Evaluator("echo", echo, data=data)
    api = api_with(cloud, data) if kind == "of the SDK" else api_of(cloud, evaluator)
    for _ in range(2):
        found = deltas(api.events(data=OWN))
        assert [each["origin"]["id"] for each in found] == ["r1", "r2"]
    assert {each["origin"]["object_type"] for each in found} == {"dataset"}
    assert {call.token for call in cloud.calls} <= {TOKEN, None}


def test_a_coroutine_that_returns_a_dataset_is_not_read_as_the_application(cloud: StandIn) -> None:
    async def later_opened() -> Any:
        return opened()

    for coroutine in (later(), later_opened()):
        (error, _) = api_with(cloud, coroutine).events(data=OWN)
        assert "the data could not be read after 0 cases: TypeError: it is a corou" in error.data
        assert "pass the function itself, without calling it" in error.data


@pytest.mark.parametrize(
    ("options", "version", "count"),
    [
        ({}, None, 2),
        ({"version": "41"}, "41", 1),
        ({"environment": "live"}, "41", 1),
        ({"_internal_btql": {"limit": 1}}, None, 1),
    ],
    ids=["newest", "version", "environment", "limit"],
)
def test_the_experiment_is_linked_to_the_dataset(
    cloud: StandIn, dataset_id: str, options: dict[str, Any], version: str | None, count: int
) -> None:
    api = api_with(cloud, letters(**options))
    api.summary(data=OWN)
    (experiment,) = cloud.experiments
    assert (experiment["dataset_id"], experiment["dataset_version"]) == (dataset_id, version)
    assert len(deltas(api.events(data=OWN))) == count


def test_a_dataset_may_be_given_by_its_id_or_with_the_id_of_its_project(
    cloud: StandIn, dataset_id: str
) -> None:
    project = cloud.add_project("acme", "geo")
    for data in (
        braintrust.init_dataset(dataset_id=dataset_id),
        braintrust.init_dataset(project_id=project, name="letters"),
    ):
        assert api_with(cloud, data).outputs(data=OWN) == ["a", "b"]


def test_a_dataset_that_the_caller_does_not_see_is_not_created(cloud: StandIn) -> None:
    api = api_with(cloud, braintrust.init_dataset("geo", "numbers"))
    assert "there is no dataset 'numbers' in project 'geo'" in api.refusal(404, data=OWN)


def test_without_braintrust_it_is_not_read_with_the_key_of_the_application(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("BRAINTRUST_API_KEY")
    evaluator = from_sdk(sdk_evaluator(eval_name="echo", data=letters()))
    api = Api(make_app(evaluator, BRAINTRUST_EVALS_AUTH="none"), token=None)
    text = api.refusal(400, data=OWN)
    assert text.startswith("data.own: the own cases of evaluator 'echo' are in Braintrust")


def test_what_cannot_be_identified_is_not_read_as_the_application(cloud: StandIn) -> None:
    lazy = LazyValue[Any](lambda: None, use_mutex=False)
    dataset, experiment = letters(), opened()
    moved: Any = dataset.fetch()
    del moved.refetch_fn  # as another version of the SDK may have it elsewhere
    for data in (
        Dataset(lazy),
        ReadonlyExperiment(lazy),
        Experiment(lazy),
        ObjectIterator(dataset._refetch),
        ExperimentDatasetIterator(ObjectIterator(experiment._refetch)),
        moved,
    ):
        text = api_with(cloud, data).refusal(400, data=OWN)
        assert "not tell which dataset or experiment evaluator 'echo' has; name it in" in text


def opened(**options: Any) -> Any:
    return braintrust.init(experiment="before", **{"project": "other", "open": True, **options})


EXPERIMENTS: dict[str, Any] = {
    "itself": opened,
    "as a dataset": lambda: opened().as_dataset(),
    "by a function": lambda: lambda: opened().as_dataset(batch_size=1),
    "by fetch": lambda: opened().fetch(),
    "to be continued": lambda: opened(open=False, update=True, set_current=False),
}


@pytest.mark.parametrize("source", EXPERIMENTS)
@pytest.mark.parametrize("kind", ["of the SDK", "of this package"])
def test_an_opened_experiment_is_read_as_the_caller_in_its_own_project(
    cloud: StandIn, kind: str, source: str
) -> None:
    before = cloud.add_experiment("acme", "other", "before", ROWS)
    data = EXPERIMENTS[source]()
    evaluator = Evaluator("echo", echo, data=data)
    api = api_with(cloud, data) if kind == "of the SDK" else api_of(cloud, evaluator)
    for _ in range(2):
        found = deltas(api.events(data=OWN))
        assert [(each["origin"]["object_id"], each["data"]) for each in found] == [
            (before, '"a"'),
            (before, '"b"'),
        ]
    assert {call.token for call in cloud.calls} <= {TOKEN, None}


def test_an_opened_experiment_may_have_the_id_of_its_project_and_must_have_a_name(
    cloud: StandIn,
) -> None:
    cloud.add_experiment("acme", "other", "before", ROWS)
    project = cloud.add_project("acme", "other")
    named = api_with(cloud, opened(project=None, project_id=project))
    assert named.outputs(data=OWN) == ["a", "b"]
    unnamed = api_with(cloud, braintrust.init("other", set_current=False))
    assert "has a new experiment without a name as its data" in unnamed.refusal(500, data=OWN)


@pytest.mark.parametrize("name", ["before", None])
def test_a_new_experiment_that_the_application_has_made_is_read_by_the_name_that_it_got(
    cloud: StandIn, monkeypatch: pytest.MonkeyPatch, name: str | None
) -> None:
    cloud.add_experiment("acme", "other", "before", ROWS)
    monkeypatch.setenv("BRAINTRUST_APP_URL", cloud.url)
    made: Any = braintrust.init("other", name, api_key=TOKEN, set_current=False)
    assert made.name not in ("before", None)
    state: Any = braintrust.logger._internal_get_global_state()
    state.reset_login_info()
    assert "no case" in api_with(cloud, made).summary(data=OWN)["warning"]


def test_a_list_of_datasets_is_refused_without_asking_them() -> None:
    with pytest.raises(RegistrationError, match=r"\(Dataset\); pass one dataset or experiment"):
        Evaluator("echo", echo, data=[letters(), letters()])


@pytest.mark.parametrize("made", [letters, lambda: opened(open=False, set_current=False)])
def test_one_that_is_given_as_a_case_is_refused_without_asking_it(
    cloud: StandIn, monkeypatch: pytest.MonkeyPatch, made: Any
) -> None:
    monkeypatch.setenv("BRAINTRUST_APP_URL", cloud.url)
    cloud.add_user("sk-of-the-application")
    for data in ([{"input": 1}, made()], lambda: (made() for _ in range(2))):
        (*_, error, _) = api_of(cloud, Evaluator("echo", echo, data=data)).events(data=OWN)
        assert "a case must be an object with an 'input', not " in error.data
    assert {call.token for call in cloud.calls} <= {TOKEN, None}


def test_objects_of_the_sdk_in_a_case_do_not_log_in_when_it_is_copied_or_sent_to_a_worker(
    cloud: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BRAINTRUST_APP_URL", cloud.url)
    cloud.add_user("sk-of-the-application")
    objects = [letters(), braintrust.load_prompt("geo", "a"), opened(open=False, set_current=False)]
    case = {"input": 1, "expected": objects, "metadata": {"of the SDK": objects}}
    api = api_with(cloud, [case, case])
    assert api.outputs(data=OWN, trial_count=2) == [1] * 4
    assert not any(map(_is_attachment, objects))
    assert {call.token for call in cloud.calls} <= {TOKEN, None}


def test_in_python_the_sdk_reads_the_cases_of_an_opened_experiment(
    cloud: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.add_experiment("acme", "other", "before", [{**ROWS[1], "output": "c"}])
    monkeypatch.setenv("BRAINTRUST_APP_URL", cloud.url)
    evaluator = Evaluator("echo", echo, data=opened(api_key=TOKEN).as_dataset())
    try:
        for _ in range(2):
            (result,) = evaluator.run().results
            assert (result.output, result.case.expected) == ("b", "c")
    finally:
        state: Any = braintrust.logger._internal_get_global_state()
        state.reset_login_info()


@pytest.mark.parametrize(
    ("data", "options"),
    [
        (braintrust.BaseExperiment("before"), {}),
        (braintrust.BaseExperiment(), {"base_experiment_name": "before"}),
        (braintrust.BaseExperiment, {"base_experiment_name": "before"}),
    ],
    ids=["by name", "by the base", "as a class"],
)
def test_the_cases_of_an_experiment_are_read_as_the_caller_and_compared_with_it(
    cloud: StandIn, data: Any, options: dict[str, str]
) -> None:
    before = cloud.add_experiment("acme", "geo", "before", ROWS)
    evaluator = sdk_evaluator(
        eval_name="echo", project_name="geo", data=data, scores=[exact], **options
    )
    api = api_of(cloud, from_sdk(evaluator))
    found = deltas(api.events(data=OWN, parent=None))
    assert [each["origin"]["object_id"] for each in found] == [before] * 2
    assert {call.token for call in cloud.calls} <= {TOKEN, None}
    assert cloud.experiments[-1]["base_exp_id"] == before


def test_the_cases_of_an_experiment_need_braintrust_and_a_name(cloud: StandIn) -> None:
    named, unnamed = (
        from_sdk(sdk_evaluator(eval_name="echo", data=braintrust.BaseExperiment(*names)))
        for names in (("before",), ())
    )
    api = Api(make_app(named, BRAINTRUST_EVALS_AUTH=lambda request: Session()))
    assert "are in Braintrust, and this run acts without it" in api.refusal(400, data=OWN)
    text = api_of(cloud, unnamed).refusal(500, data=OWN)
    assert "give it BaseExperiment(name=...), or pass cases" in text
