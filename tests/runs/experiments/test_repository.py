"""New experiments have the commit that the server runs from, if their organisation collects it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flask_braintrust_evals import Evaluator
from flask_braintrust_evals.concurrency.processes.programs import output_of
from flask_braintrust_evals.runs.experiments import repository
from flask_braintrust_evals.runs.experiments.repository import read_repository
from tests.standin import StandIn
from tests.support import eventually, python
from tests.web.support import PLAYGROUND, api_of

PUBLIC = {"commit", "branch", "dirty", "commit_time"}
OF_PEOPLE = {"author_name", "author_email", "commit_message"}
REMOTE = "https://user:secret-of-remote@git.example.com/repo.git"


def git(where: Path, *arguments: str) -> str:
    settings = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
    done = subprocess.run(
        ["git", "-C", str(where), *settings, *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def commit(where: Path, text: str) -> str:
    (where / "code.py").write_text(text)
    git(where, "add", "code.py")
    git(where, "commit", "-q", "-m", f"Write {text}")
    return git(where, "rev-parse", "HEAD")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkout that each test has a copy of."""
    made = tmp_path_factory.mktemp("made")
    git(made, "init", "-q", "-b", "main", "--template=")
    for text in ("one", "two"):
        commit(made, text)
    git(made, "remote", "add", "origin", REMOTE)
    git(made, "update-ref", "refs/remotes/origin/main", "HEAD")
    git(made, "checkout", "-q", "-b", "topic")
    commit(made, "three")
    return made


@pytest.fixture
def checkout(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A checkout with two commits of its remote's main branch and one of its own: the directory."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    repository.forget()
    yield tmp_path
    repository.forget()


def created(cloud: StandIn, **config: Any) -> dict[str, Any]:
    """What a run asked Braintrust to create as its experiment."""
    api_of(cloud, **config).summary(data=[{"input": 1}])
    body = cloud.calls_to("POST", "/v1/experiment")[-1].json
    assert isinstance(body, dict)
    assert "secret-of-remote" not in str(body)
    return body


def test_an_experiment_has_its_commit_and_those_to_compare_with(
    cloud: StandIn, checkout: Path
) -> None:
    cloud.collect_git("acme", "all")
    body = created(cloud, BRAINTRUST_EVALS_ORG_NAME="acme")
    info = body["repo_info"]
    assert set(info) == PUBLIC | OF_PEOPLE
    assert info["commit"] == git(checkout, "rev-parse", "HEAD")
    assert (info["branch"], info["dirty"]) == ("topic", False)
    assert (info["author_name"], info["author_email"]) == ("Ada", "ada@example.com")
    assert info["commit_message"] == "Write three"
    assert body["ancestor_commits"] == git(checkout, "rev-list", "main").split()
    assert cloud.experiments[-1]["repo_info"] == info


def test_on_the_base_branch_its_last_commit_is_compared_with_if_there_are_changes(
    checkout: Path,
) -> None:
    git(checkout, "checkout", "-q", "main")
    commits = git(checkout, "rev-list", "main").split()
    assert list(read_repository(str(checkout)).ancestors) == commits[1:]
    (checkout / "code.py").write_text("changed")
    assert list(read_repository(str(checkout)).ancestors) == commits


def test_where_everybody_is_let_in_nothing_tells_of_people(cloud: StandIn, checkout: Path) -> None:
    cloud.collect_git("acme", "all")
    assert set(created(cloud)["repo_info"]) == PUBLIC


@pytest.mark.parametrize(
    ("collect", "fields", "expected"),
    [
        ("some", ["commit", "git_diff", "unknown"], {"commit"}),
        ("some", [], None),
        ("none", ["commit"], None),
        ("whatever", ["commit"], None),
        (None, [], None),
    ],
)
def test_an_organisation_has_what_its_settings_collect(
    cloud: StandIn, checkout: Path, collect: Any, fields: list[str], expected: Any
) -> None:
    if collect is not None:
        cloud.collect_git("acme", collect, fields)
    body = created(cloud)
    assert body.get("repo_info", {}).keys() == (expected or set())
    assert ("ancestor_commits" in body) is (expected is not None)


@pytest.mark.parametrize("wanted", [{"commit", "author_email", "git_diff"}, set()])
def test_an_evaluator_says_what_its_experiments_may_have(
    cloud: StandIn, checkout: Path, wanted: set[str]
) -> None:
    cloud.collect_git("acme", "some", ["commit", "branch"])
    evaluator = Evaluator("e", str, git_fields=frozenset(wanted))
    api_of(cloud, evaluator).summary(name="e", data=[{"input": 1}])
    body = cloud.calls_to("POST", "/v1/experiment")[-1].json
    assert body.get("repo_info", {}).keys() == wanted & {"commit"}
    assert ("ancestor_commits" in body) is bool(wanted)


@pytest.mark.parametrize(
    ("config", "sent"),
    [
        ({}, {"commit": "c"}),
        ({"BRAINTRUST_EVALS_ORG_NAME": "acme"}, {"commit": "c", "author_name": "Ada"}),
        ({"BRAINTRUST_EVALS_GIT_METADATA": False}, None),
    ],
    ids=["open to all", "one organisation", "turned off"],
)
def test_an_evaluator_says_itself_what_its_code_is(
    cloud: StandIn, config: dict[str, Any], sent: Any
) -> None:
    info = {"commit": "c", "author_name": "Ada", "git_diff": "+secret", "tag": None}
    evaluator = Evaluator("e", str, repo_info=info, git_fields=frozenset())
    api_of(cloud, evaluator, **config).summary(name="e", data=[{"input": 1}])
    body = cloud.calls_to("POST", "/v1/experiment")[-1].json
    assert body.get("repo_info") == sent
    assert "ancestor_commits" not in body


def test_the_setting_turns_it_off(cloud: StandIn, checkout: Path) -> None:
    cloud.collect_git("acme", "all")
    assert not created(cloud, BRAINTRUST_EVALS_GIT_METADATA=False).keys() & {
        "repo_info",
        "ancestor_commits",
    }


def test_a_base_that_is_named_needs_no_commits(cloud: StandIn, checkout: Path) -> None:
    cloud.collect_git("acme", "all")
    base = cloud.add_experiment("acme", "echo", "base")
    api_of(cloud).summary(data=[], base_experiment_id=base)
    body = cloud.calls_to("POST", "/v1/experiment")[-1].json
    assert "repo_info" in body
    assert "ancestor_commits" not in body


def test_a_run_of_the_playground_reads_nothing(
    cloud: StandIn, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.collect_git("acme", "all")
    monkeypatch.setattr(repository, "start_real_thread", lambda work: pytest.fail("it read"))
    api_of(cloud).summary(data=[{"input": 1}], parent=PLAYGROUND)


def test_it_is_read_once_per_process(cloud: StandIn, checkout: Path) -> None:
    cloud.collect_git("acme", "all")
    first = created(cloud)["repo_info"]
    commit(checkout, "four")
    assert created(cloud)["repo_info"] == first


def test_it_is_read_later_if_the_system_had_no_thread(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(work: Any) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(repository, "start_real_thread", refuse)
        assert not repository.repository_state().info
    assert eventually(lambda: repository.repository_state().info)["branch"] == "topic"


def test_outside_of_a_checkout_nothing_is_sent(
    cloud: StandIn, checkout: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    os.chdir(tmp_path_factory.mktemp("elsewhere"))
    cloud.collect_git("acme", "all")
    assert not created(cloud).keys() & {"repo_info", "ancestor_commits"}


def test_without_git_nothing_is_sent(
    cloud: StandIn, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(checkout))
    cloud.collect_git("acme", "all")
    assert "repo_info" not in created(cloud)


def test_a_git_that_hangs_delays_a_run_by_a_second_at_most(
    cloud: StandIn, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = checkout / "git"
    slow.write_text(f"#!{sys.executable}\nimport time\ntime.sleep(60)\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", str(checkout))
    monkeypatch.setattr(repository, "WAIT_TIMEOUT", 0.2)
    cloud.collect_git("acme", "all")
    began = time.monotonic()
    assert "repo_info" not in created(cloud)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("change", ["staged", "not staged"])
def test_changes_of_tracked_files_make_it_dirty(checkout: Path, change: str) -> None:
    (checkout / "new.py").write_text("not tracked")
    assert read_repository(str(checkout)).info["dirty"] is False
    (checkout / "code.py").write_text("changed")
    if change == "staged":
        git(checkout, "add", "code.py")
    assert read_repository(str(checkout)).info["dirty"] is True


def test_a_tag_is_recorded_and_a_detached_head_has_no_branch(checkout: Path) -> None:
    git(checkout, "tag", "-a", "v1", "-m", "first")
    git(checkout, "checkout", "-q", "--detach")
    info = read_repository(str(checkout)).info
    assert info["tag"] == "v1"
    assert "branch" not in info


def test_a_checkout_without_a_remote_has_no_commits_to_compare_with(checkout: Path) -> None:
    git(checkout, "remote", "remove", "origin")
    state = read_repository(str(checkout))
    assert state.info["branch"] == "topic"
    assert state.ancestors == ()


@pytest.mark.slow
def test_a_program_is_ended_at_its_deadline() -> None:
    began = time.monotonic()
    code = "import time; print('x', flush=True); time.sleep(60)"
    assert output_of(sys.executable, ["-c", code], {}, began + 1) is None
    assert time.monotonic() - began < 10


def test_a_program_that_cannot_be_started_has_no_output(tmp_path: Path) -> None:
    assert output_of(str(tmp_path / "none"), [], {}, time.monotonic() + 5) is None


@pytest.mark.slow
def test_under_gevent_it_is_read_without_a_fork(checkout: Path) -> None:
    printed = python(
        f"""
        from gevent import monkey
        monkey.patch_all()
        import os, time
        os.register_at_fork(after_in_child=lambda: print("forked", flush=True))
        import gevent
        from flask_braintrust_evals.runs.experiments import repository
        os.chdir({str(checkout)!r})
        turns = []
        other = gevent.spawn(lambda: [(time.sleep(0.001), turns.append(1)) for _ in range(5)])
        repository.WAIT_TIMEOUT = 20
        info = repository.repository_state().info
        other.join()
        print(info["branch"], info["dirty"], len(turns))
        """
    )
    assert printed.split() == ["topic", "False", "5"]
