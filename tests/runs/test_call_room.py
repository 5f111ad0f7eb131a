"""How many calls of scorers are made at a time, by their sizes."""

from __future__ import annotations

import threading

import pytest

from flask_braintrust_evals.concurrency.cancellation import Cancellation
from flask_braintrust_evals.concurrency.places import Places
from flask_braintrust_evals.errors import RunError
from flask_braintrust_evals.runs.call_room import CallRoom
from flask_braintrust_evals.runs.remote_scorers import _AT_A_TIME, _size
from tests.support import eventually, python


def test_calls_get_room_in_the_order_in_which_they_ask() -> None:
    room, begun, go_on = CallRoom(10, Cancellation()), list[int](), threading.Event()

    def call(size: int) -> None:
        with room.taken(size):
            begun.append(size)
            go_on.wait(10)

    threads = []
    for number, size in enumerate((6, 4, 8, 1), 1):
        threads.append(threading.Thread(target=call, args=(size,)))
        threads[-1].start()
        eventually(lambda: len(begun) + len(room._waiting) == number)  # noqa: B023
    assert begun == [6, 4], "1 would fit only before 8, which asked first"
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert sorted(begun) == [1, 4, 6, 8]


def test_calls_of_all_runs_share_places_and_each_run_has_one() -> None:
    places, begun = Places(2), list[str]()
    rooms = {name: CallRoom(10, Cancellation(), places) for name in "ab"}

    def call(name: str) -> None:
        with rooms[name].taken(1):
            begun.append(name)

    threads = [threading.Thread(target=call, args=(name,)) for name in "ab"]
    with rooms["a"].taken(1):
        with rooms["a"].taken(1):
            threads[0].start()
            eventually(lambda: len(rooms["a"]._waiting) == 1)
            threads[1].start()
            eventually(lambda: begun == ["b"])  # its first place
        threads[0].join(10)  # the place of the call that has ended is its own
        assert begun == ["b", "a"]
    threads[1].join(10)
    assert places.taken == 0
    assert [room._free for room in rooms.values()] == [10, 10]


def test_a_place_that_no_call_wants_any_more_is_given_back() -> None:
    places, cancellation = Places(1), Cancellation()
    one, other = CallRoom(10, Cancellation(), places), CallRoom(10, cancellation, places)

    def call() -> None:
        with pytest.raises(RunError), other.taken(1):
            pass

    with one.taken(1), other.taken(1):
        thread = threading.Thread(target=call)
        thread.start()
        eventually(lambda: len(other._waiting) == 1)
        cancellation.set()
        thread.join(10)
    assert (places.taken, one._free, other._free) == (0, 10, 10)
    with one.taken(1):
        assert places.taken == 1


def test_room_is_given_back_whatever_ends_a_call() -> None:
    room = CallRoom(10, Cancellation())
    with pytest.raises(ValueError, match="x"), room.taken(10):
        raise ValueError("x")
    with room.taken(10):
        pass


def test_who_waits_no_longer_takes_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    room = CallRoom(10, Cancellation())

    class Ended:
        def wait(self) -> None:
            raise KeyboardInterrupt

        def set(self) -> None: ...

    with room.taken(10):
        with monkeypatch.context() as patch:
            patch.setattr("flask_braintrust_evals.runs.call_room.new_signal", Ended)
            with pytest.raises(KeyboardInterrupt), room.taken(5):
                pass
    with room.taken(10):
        pass


def test_calls_that_wait_are_not_made_once_the_run_is_cancelled() -> None:
    cancellation, errors = Cancellation(), list[str]()
    room = CallRoom(10, cancellation)

    def call() -> None:
        try:
            with room.taken(1):
                errors.append("made")
        except RunError as error:
            errors.append(str(error))

    with room.taken(10):
        thread = threading.Thread(target=call)
        thread.start()
        eventually(lambda: len(room._waiting) == 1)
        cancellation.set()
        thread.join(10)  # although the other call goes on
        assert errors == ["the run was cancelled before the call was made"]
    call()
    assert errors == ["the run was cancelled before the call was made"] * 2
    assert (room._free, len(room._waiting)) == (10, 0)


def test_small_calls_of_scorers_have_a_limit_too() -> None:
    assert _AT_A_TIME // _size("x") == 200
    assert _AT_A_TIME // _size("x" * 5_000_000) == 2


@pytest.mark.slow
def test_a_greenlet_that_is_ended_while_it_gives_room_up_wakes_those_that_wait() -> None:
    script = """
    from gevent import monkey
    monkey.patch_all()
    import gevent
    from flask_braintrust_evals.concurrency.cancellation import Cancellation
    from flask_braintrust_evals.runs.call_room import CallRoom

    room = CallRoom(1, Cancellation())

    def first():
        with room.taken(1):
            gevent.sleep(0.01)  # the other one waits
            gevent.getcurrent().kill(block=False)  # as soon as it waits again

    def second():
        with room.taken(1):
            return "began"

    gevent.spawn(first)
    print(gevent.spawn(second).get(timeout=5))
    """
    assert python(script) == "began\n"
