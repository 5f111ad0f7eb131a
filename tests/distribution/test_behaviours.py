"""What evaluators do here, they do on workers: the same events, and the same fields of results."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from flask_braintrust_evals.engine.calls.signatures import ScorerCall
from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.running.cases import retries
from flask_braintrust_evals.engine.values.cases import EvalCase
from flask_braintrust_evals.engine.values.events import (
    CaseProgress,
    CaseStarted,
    Event,
    RunFailed,
)
from flask_braintrust_evals.serialization.json_writing import plain_parts
from tests.engine.support import by_case, case_id, inputs, kinds, new_run, results_of
from tests.support import eventually, in_time

from .memory import contents_of
from .support import Site, site


class Opaque:
    def __str__(self) -> str:
        return "opaque"


def streaming(input: Any, hooks: Any) -> str:
    for word in ("one ", "two ", "three"):
        hooks.report_progress({"event": "text_delta", "data": word})
    return "one two three"


async def awaiting(input: Any, hooks: Any) -> Any:
    hooks.report_progress({"event": "json_delta", "data": {"n": 1}})
    await asyncio.sleep(0)
    return {"input": input}


def changing(input: Any, hooks: Any) -> Any:
    hooks.metadata.update({"by task": True, 5: 2**70, "odd": {Opaque()}, "none": None})
    hooks.tags.append("more")
    return input


def emptying(input: Any, hooks: Any) -> Any:
    hooks.metadata, hooks.tags = {}, None
    return input


def looping(input: Any, hooks: Any) -> Any:
    hooks.metadata["loop"] = hooks.metadata
    return input


def odd_tags(input: Any, hooks: Any) -> Any:
    hooks["tags"] = ["a", 5, None]
    return input


def failing(input: Any) -> Any:
    raise ValueError(f"no {input}: \ud800")


def leaving(input: Any) -> Any:
    raise SystemExit(3)


calls: dict[Any, int] = {}


def failing_once(input: Any, hooks: Any) -> Any:
    calls[threading.get_ident(), input] = calls.get((threading.get_ident(), input), 0) + 1
    if calls[threading.get_ident(), input] % 2:
        raise ConnectionError("try again")
    return input


def sleeping(input: Any) -> Any:
    time.sleep(0.2)
    return input


def given(value: Any) -> Any:
    return lambda input: value


def repeated(name: str = "x") -> Any:
    return lambda output: [
        {"name": "x", "score": 0.5},
        {"name": "x", "score": 1, "metadata": {"why": float("nan"), 1: Opaque()}},
        {"name": name, "score": None},
    ]


def broken(output: Any) -> Any:
    raise LookupError("no score")


def out_of_range(output: Any) -> Any:
    return 7


def exact(input: Any, output: Any, expected: Any, metadata: Any, tags: Any, id: Any) -> Any:
    seen = json.dumps(plain_parts([input, output, expected, metadata, tags, id]), sort_keys=True)
    return {"score": 1.0, "name": "exact", "metadata": {"seen": seen}}


def labels(output: Any) -> Any:
    return [{"id": "a", "label": "A", "metadata": {"n": 2**70}}, {"id": "b", "name": "other"}]


def recovered(span: Any, case: Any, names: list[str]) -> Any:
    return dict.fromkeys([*names, "recovered"], 0.25)


def with_parameters(input: Any, parameters: Any) -> Any:
    return [input, parameters.model, parameters.n]


CASES: list[Any] = [
    {"input": "a", "expected": "b", "metadata": {"n": 1}, "tags": ["t"], "id": "x"},
    {"input": {"deep": [1, 2.5, None, True]}, "expected": None},
    {"input": None, "id": 7},
    {"input": 2**70, "expected": "é😀", "upsert_id": "u"},
]
PARAMETERS = {"model": {"type": "string", "default": "m"}, "n": {"type": "number", "default": 2}}
EVALUATORS = [
    Evaluator("streaming", streaming, scores=[exact]),
    Evaluator("awaiting", awaiting, scores=[exact]),
    Evaluator("changing", changing, scores=[exact]),
    Evaluator("emptying", emptying, scores=[exact]),
    Evaluator("looping", looping),
    Evaluator("odd tags", odd_tags),
    Evaluator("failing", failing, scores=[exact], classifiers=[labels]),
    Evaluator("leaving", leaving),
    Evaluator("recovering", failing, scores=[exact], error_score_handler=recovered),
    Evaluator("trials", given(1), trial_count=3),
    Evaluator("timed out", sleeping, task_timeout=0.02, scores=[exact]),
    Evaluator("retried", failing_once, retries=2),
    Evaluator("scores", given("out"), scores=[repeated(), repeated("y"), broken, out_of_range]),
    Evaluator("labels", given("out"), classifiers=[labels, broken]),
    Evaluator("numbers", given([float("nan"), float("inf"), 2**70, 10**300, -0.0])),
    Evaluator("texts", given("\ud800 é😀 \x00"), scores=[exact]),
    Evaluator("objects", given({"o": Opaque(), 1: (1, 2), "s": {1}, "b": b"\xff"})),
    Evaluator("unwritable", given(iter([]))),
    Evaluator("partly unwritable", given({"i": iter([]), "ok": 1})),
    Evaluator("nothing", given(None), scores=[exact]),
    Evaluator("parameters", with_parameters, parameters=PARAMETERS),
]


@pytest.fixture(scope="module")
def there() -> Iterator[Site]:
    with pytest.MonkeyPatch.context() as patch, site(*EVALUATORS, workers=2) as made:
        patch.setattr(retries, "FIRST_PAUSE", 0.01)
        yield made


def shown(events: list[Event]) -> dict[tuple[int, int], list[Any]]:
    """The events of each trial of a case as their consumer may show them."""
    refs = {event.ref.id: event.ref for event in events if isinstance(event, CaseStarted)}
    trials: dict[tuple[int, int], list[Any]] = {}
    for event in events:
        ref = refs.get(case_id(event) or "")
        if ref is not None:
            name = type(event).__name__
            told = (name, event.event) if isinstance(event, CaseProgress) else name
            trials.setdefault((ref.index, ref.trial_index), []).append(told)
    return trials


FIELDS = (
    "output_data",
    "error",
    "scores",
    "classifications",
    "scorer_errors",
    "failed_classifiers",
    "metadata",
    "tags",
    "interrupted",
)


def fields_of(events: list[Event], name: str) -> list[Any]:
    """A field of all results, as it is recorded and sent."""
    values = [getattr(result, name) for result in results_of(events)]
    return [
        plain_parts(sorted(value) if name == "failed_classifiers" else value) for value in values
    ]


@pytest.mark.parametrize("extra", [False, True], ids=["", "with scorers of the request"])
@pytest.mark.parametrize("evaluator", EVALUATORS, ids=[each.name for each in EVALUATORS])
def test_a_run_on_workers_gives_what_a_run_here_gives(
    there: Site, evaluator: Evaluator, extra: bool
) -> None:
    own = ScorerCall("own", exact, (), ("input", "output", "expected", "metadata", "tags", "id"))
    scorers = [own, ScorerCall("exact", broken, ("output",), ())] if extra else []
    options: dict[str, Any] = {"trial_count": evaluator.trial_count}
    if evaluator.parameter_set:
        options["parameters"] = {"model": "another"}
    runner = {"extra_scorers": scorers}
    local = in_time(lambda: list(new_run(evaluator, CASES, runner=runner, **options)))
    remote = in_time(lambda: list(there.new_run(evaluator, CASES, scorers=scorers, **options)))

    assert shown(remote) == shown(local)
    for name in FIELDS:
        ours, theirs = fields_of(remote, name), fields_of(local, name)
        if name == "error":
            ours, theirs = ([e and [e["type"], e["message"]] for e in es] for es in (ours, theirs))
        if name == "scorer_errors":
            ours, theirs = (
                [{k: [e["type"], e["message"]] for k, e in each.items()} for each in es]
                for es in (ours, theirs)
            )
        assert ours == theirs, name
    for there_, here in zip(results_of(remote), results_of(local), strict=True):
        assert plain_parts(there_.output) == plain_parts(here.output)
        assert there_.metrics.keys() == here.metrics.keys()
        assert (there_.ref.index, there_.ref.trial_index) == (here.ref.index, here.ref.trial_index)
        assert there_.case == here.case
        if here.case.upsert_id:
            assert there_.ref.id == here.ref.id
    assert kinds(remote[-1:]) == kinds(local[-1:])


def test_failing_data_ends_the_run_as_it_does_here(there: Site) -> None:
    def data() -> Iterator[EvalCase]:
        yield EvalCase(1)
        raise OSError("disk")

    evaluator = EVALUATORS[0]
    local = in_time(lambda: list(new_run(evaluator, data())))
    remote = in_time(lambda: list(there.new_run(evaluator, data())))
    assert shown(remote) == shown(local)
    assert isinstance(remote[-1], RunFailed) and isinstance(local[-1], RunFailed)
    assert str(remote[-1].error) == str(local[-1].error)


def test_data_is_not_read_ahead_of_the_window(there: Site) -> None:
    read = []

    def data() -> Iterator[EvalCase]:
        for number in range(1000):
            read.append(number)
            yield EvalCase(number)

    run = there.new_run(EVALUATORS[0], data(), max_concurrency=5)
    events = iter(run)
    for _ in range(10):
        in_time(lambda: next(events))
    time.sleep(0.2)
    assert len(read) < 100
    run.close()


def test_many_runs_leave_nothing_behind(there: Site) -> None:
    evaluator = EVALUATORS[0]
    threads = threading.active_count()
    for _ in range(20):
        assert len(results_of(in_time(lambda: list(there.new_run(evaluator, inputs(1, 2)))))) == 2
    state = there.dispatcher._state
    assert state.runs == {}
    assert state.notices._go == [] and len(state.workers._heard_at) <= 2
    eventually(lambda: threading.active_count() <= threads + 2)
    for worker in there.workers.all:
        eventually(lambda worker=worker: not worker._under_way)  # type: ignore[misc]
        eventually(lambda worker=worker: len(worker._runs._runs) <= 1)  # type: ignore[misc]


def test_orders_have_what_a_worker_needs_and_nothing_else(there: Site) -> None:
    in_time(lambda: list(there.new_run(EVALUATORS[0], inputs("in"))))
    order = contents_of(there.broker, "order")[-1]
    assert set(order) == {
        "version",
        "owner",
        "run",
        "evaluator",
        "fingerprint",
        "parameters",
        "recording",
        "usage",
        "case_spans",
        "reserved_names",
        "error_scores",
        "retries",
        "twin",
        "cases",
    }


def test_runs_go_on_while_workers_die_and_come(there: Site) -> None:
    def patient(input: Any) -> Any:
        time.sleep(0.02)
        return input

    evaluator = Evaluator("patient", patient)
    with site(evaluator, workers=2, lease=0.8) as made:
        run = made.new_run(evaluator, inputs(*range(60)), max_concurrency=10)
        events = iter(run)
        received = [in_time(lambda: next(events)) for _ in range(30)]
        made.workers.kill(made.workers.all[0])
        made.workers.start()
        received += in_time(lambda: list(events))
    results = results_of(received)
    assert [result.output for result in results] == [*range(60)]
    assert all(
        kinds(each)[-2:] == ["TaskFinished", "CaseFinished"] for each in by_case(received).values()
    )
