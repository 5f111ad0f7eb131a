"""``flask evals workers``, and what it says of workers."""

from __future__ import annotations

import pytest
from celery import Celery
from flask import Flask

from flask_braintrust_evals import EvalsBlueprint, Evaluator
from flask_braintrust_evals.cli.commands.worker_list import describe_workers
from flask_braintrust_evals.distribution.messaging.transport import WorkerInfo


def info(
    name: str, number: int, *, busy: int = 0, evaluators: tuple[str, ...] = ("a", "b")
) -> WorkerInfo:
    return WorkerInfo(name, f"{name}/{number}", "prefork", 1, busy, evaluators, "1.2", "")


def test_the_processes_of_a_worker_are_added_up() -> None:
    text = describe_workers([info("w@h", 1, busy=1), info("w@h", 2), info("v@h", 3)], ["a", "b"])
    assert text.splitlines() == [
        "v@h: prefork, 1 of 1 slots free, flask-braintrust-evals 1.2",
        "  evaluators: a, b",
        "w@h: prefork, 1 of 2 slots free, flask-braintrust-evals 1.2",
        "  evaluators: a, b",
    ]


def test_what_a_worker_does_not_have_is_said() -> None:
    (_, known, missing) = describe_workers(
        [info("w@h", 1, evaluators=("old",))], ["a"]
    ).splitlines()
    assert known == "  evaluators: old"
    assert missing == "  missing: a; restart it with the code of the server"


def test_a_release_is_shown() -> None:
    worker = WorkerInfo("w@h", "w@h/1", "threads", 50, 0, (), "1.2", "abc123")
    (about, known) = describe_workers([worker], []).splitlines()
    assert about == "w@h: threads, 50 of 50 slots free, flask-braintrust-evals 1.2, release abc123"
    assert known == "  evaluators: none"


def app_with(**config: object) -> Flask:
    app = Flask(__name__)
    app.config.update(BRAINTRUST_EVALS_AUTH="none", **config)
    evaluator = Evaluator("e", lambda input: input, data=[{"input": 1}])
    here = Evaluator("here", lambda input: input, data=[{"input": 1}], distributed=False)
    app.register_blueprint(EvalsBlueprint(evaluators=[evaluator, here]), url_prefix="/evals")
    return app


def distributed(**celery: object) -> Flask:
    app = app_with(SECRET_KEY="s", BRAINTRUST_EVALS_EXECUTOR="celery")
    made = Celery("test", set_as_current=False, broker="redis://:hidden@127.0.0.1:1/0")
    made.conf.update(celery)
    app.extensions["celery"] = made
    return app


def test_an_application_without_workers_says_how_to_have_some() -> None:
    runner = app_with().test_cli_runner()
    for command in (["evals", "workers"], ["evals", "run", "e", "--distributed"]):
        result = runner.invoke(args=command)
        assert result.exit_code != 0
        assert "set BRAINTRUST_EVALS_EXECUTOR to 'celery'" in result.output.replace("\n", " ")


@pytest.mark.parametrize("command", [["evals", "workers"], ["evals", "run", "e", "--distributed"]])
def test_a_broker_that_is_not_there_is_named_without_its_password(command: list[str]) -> None:
    result = distributed().test_cli_runner().invoke(args=command)
    text = " ".join(result.output.split())
    assert result.exit_code == 1
    assert "the broker at redis://:**@127.0.0.1:1/0 does not answer" in text
    assert "hidden" not in text


def test_an_application_without_celery_says_what_is_missing() -> None:
    app = app_with(SECRET_KEY="s", BRAINTRUST_EVALS_EXECUTOR="celery")
    result = app.test_cli_runner().invoke(args=["evals", "workers"])
    assert result.exit_code == 1
    assert "call celery_init_app(app)" in " ".join(result.output.split())


def test_an_evaluator_that_stays_here_is_not_distributed() -> None:
    result = distributed().test_cli_runner().invoke(args=["evals", "run", "here", "--distributed"])
    assert result.exit_code == 2
    assert "is declared with distributed=False" in " ".join(result.output.split())


def test_runs_in_the_terminal_are_local_without_the_option() -> None:
    result = distributed().test_cli_runner().invoke(args=["evals", "run", "e"])
    assert result.exit_code == 0, result.output


def test_where_celery_runs_tasks_in_place_cases_run_here() -> None:
    client = distributed(task_always_eager=True).test_client()
    answer = client.post(
        "/evals/eval", json={"name": "e", "data": {"data": [{"input": 1}]}, "stream": False}
    )
    assert answer.status_code == 200, answer.text
