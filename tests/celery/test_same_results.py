"""Every evaluator gives the same events and the same spans, here and on workers.

All that passes the broker meanwhile is kept, and searched for what must not be there.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from tests.forked import nursery
from tests.openai_api import openai_api
from tests.server import cases, outputs
from tests.support import eventually

from .brokers import RedisBroker
from .comparison import differences, plain
from .forging import Forger
from .same_runs import LEFT_OUT, OF_POOL, REMOTE, RUNS, SCORES
from .same_site import BLUEPRINTS, FORKED_WITH, POOLS, QUEUE, TOKEN, Site, fill
from .spying import SpyingRelay, envelopes, signed_text, texts
from .workers import CeleryWorker

pytestmark = [pytest.mark.live, pytest.mark.slow]

PARENT = {"object_type": "playground_logs", "object_id": "marked"}
COMMANDS = [
    ["whole", "--data", "CASES", "--trials", "2", "-p", "limit=7"],
    ["handled", "--data", "CASES"],
    ["handled", "--data", "CASES", "--fail-under", "out_of_order=0.1"],
    ["handled", "--data", "CASES", "--fail-under", "out_of_order=0.9"],
    ["badly-handled", "--data", "CASES"],
    ["leaving-scope", "--data", "CASES"],
    ["metered", "--data", "CASES"],
    ["metered-scorer", "--data", "CASES", "--experiment", "of the command"],
    ["emptied", "--experiment", "of the command"],
    ["generated-later", "--limit", "1"],
    ["ticket-triage", "--fail-under", "exact_match=1"],
    ["sometimes", "--data", "CASES", "--retries", "1"],
]
"""Options of ``flask evals run``, of evaluators whose names are unique."""
MARK = "halibut"
"""A text that cases have."""


@pytest.fixture(scope="module")
def openai_url() -> Iterator[str]:
    with openai_api() as url:
        yield url


@pytest.fixture(scope="module")
def local(
    openai_url: str, redis_broker: RedisBroker, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], list[Any]]:
    """What the runs give without workers, and the attachments that they have stored."""
    folder = tmp_path_factory.mktemp("local")
    with closing(Site("local", redis_broker.url, folder, openai_url)) as site:
        for where in BLUEPRINTS:
            served = {*site.client(where).manifest()}
            compared = {run.name for run in RUNS if run.where == where}
            assert served - compared == LEFT_OUT.get(where, set()), where
        outcomes = {str(run): site.outcome(run) for run in RUNS}
        return outcomes, site.attachments()


@pytest.fixture(scope="module")
def relay(redis_broker: RedisBroker) -> Iterator[SpyingRelay]:
    """What is between the processes and their broker."""
    with closing(SpyingRelay(redis_broker.port)) as relay:
        yield relay


@pytest.fixture(scope="module")
def site(
    openai_url: str, relay: SpyingRelay, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """A server whose cases run on workers."""
    folder = tmp_path_factory.mktemp("celery")
    with closing(Site("celery", relay.url, folder, openai_url)) as site:
        yield site


@pytest.fixture(scope="module")
def worker_of(site: Site) -> Iterator[Callable[[str], CeleryWorker]]:
    """Returns a worker with a pool, which is the only one that runs."""
    with ExitStack() as running:
        started: dict[str, CeleryWorker] = {}

        def worker_of(pool: str) -> CeleryWorker:
            if pool not in started:
                running.close()
                started.clear()
                started[pool] = running.enter_context(site.worker(pool))
            return started[pool]

        yield worker_of


@pytest.mark.parametrize("pool", POOLS)
def test_workers_give_the_same_events_and_spans(
    pool: str,
    local: tuple[dict[str, Any], list[Any]],
    site: Site,
    worker_of: Callable[[str], CeleryWorker],
) -> None:
    fill(site.cloud)
    outcomes, attachments = local
    runs = OF_POOL[pool]
    found = []
    worker = worker_of(pool)
    for run in runs:
        outcome = outcomes[str(run)]
        assert outcome.get("traces", True) or outcome.get("rows"), run
        found += [f"{run}: {each}" for each in differences(outcome, site.outcome(run))]
    found += differences(attachments, site.attachments(len(attachments)), "attachments")
    assert worker.log.count("Task braintrust_evals.case[") > 2 * len(runs)
    assert not found, "\n".join(found)


def test_the_command_line_reports_the_same(
    site: Site, worker_of: Callable[[str], CeleryWorker], tmp_path: Path
) -> None:
    worker_of("threads")
    # Once more before: what is recorded is compared with the experiment before it.
    runs: list[list[str]] = [[], [], ["--distributed"]]
    commands = [[*command, *more] for command in COMMANDS for more in runs]
    environ = {**os.environ, **site.environ, "LOG_LEVEL": "ERROR"}
    with (tmp_path / "stdout").open("w+") as stdout, (tmp_path / "stderr").open("w+") as stderr:
        run = nursery(False, FORKED_WITH).fork(
            "tests.celery.same_commands",
            [json.dumps(commands)],
            environ,
            stdout.fileno(),
            stderr.fileno(),
        )
        try:
            assert run.wait(100) == 0, (tmp_path / "stderr").read_text()
        finally:
            run.kill()
        found = iter(json.loads((tmp_path / "stdout").read_text()))
    codes, different = set(), list[str]()
    for command in COMMANDS:
        _, here, on_workers = (plain(next(found)) for _ in runs)
        codes.add(here["status"])
        different += [f"{command}: {each}" for each in differences(here, on_workers)]
    assert not different, "\n".join(different)
    assert codes == {0, 1}


def test_no_token_passes_the_broker_and_no_case_is_shown(
    site: Site, relay: SpyingRelay, worker_of: Callable[[str], CeleryWorker]
) -> None:
    worker = worker_of("threads")
    events = site.client("live").run("scored", cases(MARK), parent=PARENT, scores=SCORES)
    assert outputs(events) == [MARK]
    for run in REMOTE:
        site.outcome(run)
    passed = relay.passed()
    found = envelopes(relay.values())
    signed = {text for each in found if (text := signed_text(each["body"])) is not None}
    for kind in ("cases", "reports", "over"):
        assert any(f'"{kind}":' in text for text in signed)
    assert any(f'"input":"{MARK}"' in text for text in signed)
    for secret in (TOKEN, "Bearer", "cookie", "the secret of the tests"):
        assert not [text for text in signed for each in texts(json.loads(text)) if secret in each]
        assert not [stream for stream in passed if secret.encode() in stream]
    # What is not such a message is an event of Celery, or its remote control.
    others = [each for each in found if signed_text(each["body"]) is None]
    assert any("task-received" in str(each["body"]) for each in others)
    assert not [each for each in others if MARK in str(each)]
    for each in found:
        assert MARK not in str({**each, "body": None})
    for log in (worker.log, site.server.log):
        assert MARK not in log
        assert TOKEN not in log
    assert "braintrust_evals.case" in worker.log


def test_what_is_not_signed_is_ignored_and_its_content_is_not_logged(
    site: Site, relay: SpyingRelay, worker_of: Callable[[str], CeleryWorker], tmp_path: Path
) -> None:
    client, worker = site.client("live"), worker_of("threads")
    assert outputs(client.run("echo", cases("before"), parent=PARENT)) == ["before"]
    stream = b"".join(relay.passed()).decode("latin-1")
    reply_to = {*re.findall(rf"{QUEUE}\.reply\.[0-9a-f]{{32}}", stream)}
    texts_of = {
        kind: next(
            each["body"][0] if kind == "cases" else each["body"]
            for each in envelopes(relay.values())
            if f'"{kind}":' in (signed_text(each["body"]) or "")
        )
        for kind in ("cases", "reports", "over")
    }
    forger = Forger(relay.url, QUEUE)
    ran = tmp_path / "ran"
    for text, signature in texts_of.values():
        changed = text[:-1] + f',"forged":"{MARK}"' + text[-1:]
        pairs = [[changed, signature], [changed, ""], [text, "x"]]
        for message in (*pairs, [changed], changed, None):
            forger.order(message)
            forger.notice(message)
            for name in reply_to:
                forger.report(name, message)
    for name in (QUEUE, *reply_to):
        forger.pickle(name, ran)
    # Signed, but as another kind of message.
    forger.order(texts_of["reports"])
    forger.notice(texts_of["cases"])
    assert outputs(client.run("echo", cases("after"), parent=PARENT)) == ["after"]
    eventually(lambda: "an order is ignored" in worker.log)
    eventually(lambda: "a notice is ignored" in worker.log)
    eventually(lambda: "a report of a worker is ignored" in site.server.log)
    assert not ran.exists()
    assert MARK not in worker.log
    assert MARK not in site.server.log
