"""What a worker knows of the owners of runs, and what it starts for them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from flask_braintrust_evals.distribution.messaging.notices import AttemptKey
from flask_braintrust_evals.distribution.worker import owners as module
from flask_braintrust_evals.distribution.worker.owners import Owners
from tests.distribution.clock import clock_of
from tests.support import in_time

ATTEMPT: AttemptKey = ("run", 0, 1)
OTHER: AttemptKey = ("run", 1, 1)


def notice(**says: Any) -> dict[str, Any]:
    return {"owner": "o", "over": [], "go": [], "drop": [], "who": False, **says}


class Asked:
    """What was asked, and how an owner answers."""

    def __init__(self, answer: Callable[[AttemptKey], dict[str, Any] | None]) -> None:
        self.log: list[AttemptKey] = []
        self._answer = answer

    def __call__(self, owner: str, attempt: AttemptKey) -> None:
        self.log.append(attempt)
        said = self._answer(attempt)
        if said is not None:
            threading.Thread(target=lambda: self.owners.take(said)).start()

    owners: Owners


def owners_with(
    answer: Callable[[AttemptKey], dict[str, Any] | None], lease: float = 30
) -> tuple[Owners, Asked]:
    asked = Asked(answer)
    asked.owners = Owners(lease, asked)
    return asked.owners, asked


def allow(owners: Owners, *attempts: AttemptKey, ask: bool = False) -> Any:
    return in_time(lambda: owners.allow("o", [*attempts], ask))


def test_orders_of_an_owner_that_was_heard_of_start_at_once() -> None:
    owners, asked = owners_with(lambda attempt: None)
    owners.take(notice())
    assert allow(owners, ATTEMPT, OTHER) == [ATTEMPT, OTHER]
    assert asked.log == []


def test_an_owner_that_was_not_heard_of_is_asked() -> None:
    owners, asked = owners_with(lambda attempt: notice(go=[[*ATTEMPT]], drop=[[*OTHER]]))
    assert allow(owners, ATTEMPT, OTHER) == [ATTEMPT]
    assert asked.log == [ATTEMPT, OTHER]


def test_so_is_one_that_was_heard_of_if_the_order_may_be_an_old_one() -> None:
    owners, asked = owners_with(lambda attempt: notice(drop=[[*attempt]]))
    owners.take(notice())
    assert allow(owners, ATTEMPT, ask=True) == []
    assert asked.log == [ATTEMPT]


def test_an_answer_is_for_one_start() -> None:
    answers = [notice(go=[[*ATTEMPT]]), notice(drop=[[*ATTEMPT]])]
    owners, asked = owners_with(lambda attempt: answers.pop(0))
    assert allow(owners, ATTEMPT, ask=True) == [ATTEMPT]
    assert allow(owners, ATTEMPT, ask=True) == []  # another message with the same order
    assert len(asked.log) == 2


def test_that_a_run_is_over_is_an_answer() -> None:
    owners, _ = owners_with(lambda attempt: notice(over=["run"]))
    assert allow(owners, ATTEMPT, ask=True) == []
    assert not owners.wants(ATTEMPT)


def test_an_owner_whose_answer_came_too_early_is_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "ASK_AGAIN", 0.03)
    answers = [None, None, notice(go=[[*ATTEMPT]])]
    owners, asked = owners_with(lambda attempt: answers.pop(0) if attempt == ATTEMPT else heard)
    heard = notice(drop=[[*OTHER]])
    assert allow(owners, ATTEMPT, OTHER) == [ATTEMPT]
    assert asked.log == [ATTEMPT, OTHER, ATTEMPT, ATTEMPT]


def test_without_an_answer_nothing_starts_and_the_next_orders_do_not_wait() -> None:
    owners, asked = owners_with(lambda attempt: None, lease=0.1)
    assert allow(owners, ATTEMPT) is None
    owners._lease = 1000  # would not end in time
    assert allow(owners, OTHER) is None
    assert asked.log == [ATTEMPT]


def test_an_owner_that_speaks_again_is_asked_again() -> None:
    owners, asked = owners_with(lambda attempt: None, lease=0.1)
    assert allow(owners, ATTEMPT) is None
    owners._lease = 1000
    asked._answer = lambda attempt: notice(go=[[*attempt]])
    owners.take(notice())
    assert allow(owners, ATTEMPT, ask=True) == [ATTEMPT]


def test_what_is_dropped_or_over_is_not_wanted() -> None:
    owners, _ = owners_with(lambda attempt: None)
    assert owners.take(notice(over=["ended"], drop=[[*ATTEMPT]])) == {"ended"}
    assert not owners.wants(ATTEMPT)
    assert not owners.wants(("ended", 5, 1))
    assert owners.wants(OTHER)
    assert owners.wants(("run", 0, 2))


def test_an_owner_is_gone_after_the_lease(monkeypatch: Any) -> None:
    clock = clock_of(monkeypatch, module)
    owners = Owners(15, lambda owner, attempt: None)
    assert owners.is_gone("o")
    owners.take(notice())
    clock.pass_seconds(15)
    assert not owners.is_gone("o")
    clock.pass_seconds(0.1)
    assert owners.is_gone("o")


def test_what_is_remembered_is_bounded(monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "MAX_REMEMBERED", 10)
    owners = Owners(0.001, lambda owner, attempt: None)
    for number in range(50):
        owners.take({**notice(over=[f"r{number}"]), "owner": f"o{number}"})
        owners.take(notice(drop=[["run", number, 1]], go=[["run", number, 1]]))
        owners.allow(f"gone{number}", [("x", number, 1)], False)
    kept: list[Any] = [
        owners._heard_at,
        owners._over._items,
        owners._unwanted._items,
        owners._allowed._items,
    ]
    assert max(map(len, kept)) <= 10
    assert len(owners._silent_since) <= 2
