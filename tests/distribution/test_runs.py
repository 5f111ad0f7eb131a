"""A run gives the same, whether its cases run here or on workers."""

from __future__ import annotations

from typing import Any

from flask_braintrust_evals.engine.calls.signatures import ScorerCall
from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.values.events import CaseStarted, Event, RunFinished
from tests.engine.support import case_id, inputs, new_run, results_of
from tests.support import in_time

from .support import site


def double(input: int, hooks: Any) -> int:
    hooks.report_progress({"event": "text_delta", "data": f"doubling {input}"})
    if input == 3:
        raise ValueError("three is not doubled")
    return input * 2


def exact(output: Any, expected: Any) -> float:
    return float(output == expected)


def broken(output: Any) -> float:
    if output == 2:
        raise RuntimeError("out of order")
    return 0.5


def parity(output: Any) -> Any:
    return {"id": "even", "label": "Even"}


def handler(span: Any, case: Any, names: list[str]) -> dict[str, float]:
    return dict.fromkeys(names, 0.0)


EVERYTHING = Evaluator(
    "everything",
    double,
    scores=[exact, broken],
    classifiers=[parity],
    error_score_handler=handler,
    trial_count=2,
)


def by_trial(events: list[Event]) -> dict[tuple[int, int], list[str]]:
    """The kinds of the events of each trial of a case."""
    trials: dict[tuple[int, int], list[str]] = {}
    refs = {e.ref.id: e.ref for e in events if isinstance(e, CaseStarted)}
    for event in events:
        ref = refs.get(case_id(event) or "")
        if ref is not None:
            trials.setdefault((ref.index, ref.trial_index), []).append(type(event).__name__)
    return trials


def test_events_and_results_are_those_of_a_run_in_this_process() -> None:
    cases = [{"input": n, "expected": n * 2, "tags": ["t"], "metadata": {"n": n}} for n in range(6)]
    extra = [ScorerCall("exact", lambda output: 0.25, ("output",), ())]

    here = in_time(
        lambda: list(new_run(EVERYTHING, cases, trial_count=2, runner={"extra_scorers": extra}))
    )
    with site(EVERYTHING, workers=2) as there:
        run = there.new_run(EVERYTHING, cases, trial_count=2, scorers=extra)
        events = in_time(lambda: list(run))

    assert isinstance(events[-1], RunFinished)
    assert by_trial(events) == by_trial(here)
    for ours, theirs in zip(results_of(here), results_of(events), strict=True):
        assert (theirs.output, theirs.output_json) == (ours.output, ours.output_json)
        assert theirs.scores == ours.scores
        assert theirs.classifications == ours.classifications
        assert list(theirs.scorer_errors) == list(ours.scorer_errors)
        assert str(theirs.error) == str(ours.error)
        assert (theirs.error and theirs.error.place) == (ours.error and ours.error.place)
        assert (theirs.metadata, theirs.tags) == (ours.metadata, ours.tags)


def test_all_of_many_cases_are_run_once() -> None:
    quick = Evaluator("quick", lambda input: input)
    with site(quick, workers=3) as there:
        events = in_time(
            lambda: list(there.new_run(quick, inputs(*range(300)), max_concurrency=50))
        )
    assert [result.output for result in results_of(events)] == [*range(300)]
