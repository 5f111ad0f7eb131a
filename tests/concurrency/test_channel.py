"""The channel between workers and listener, and the signal that ends a run."""

from __future__ import annotations

import threading
from queue import Empty

import pytest

from flask_braintrust_evals.concurrency.cancellation import Cancellation
from flask_braintrust_evals.concurrency.channel import Channel, ChannelClosedError
from flask_braintrust_evals.concurrency.gevent_patch import start_thread
from tests.support import PATIENCE, Counter, happens, in_time


def test_a_channel_hands_on_what_is_put_in_its_order() -> None:
    channel: Channel[int] = Channel(3)
    for number in range(3):
        channel.put(number)

    assert channel.take() == [0, 1, 2]


def test_a_channel_that_is_empty_says_so_after_the_time_asked_for() -> None:
    with pytest.raises(Empty):
        Channel[int](1).take(0.01)


def test_a_listener_is_woken_by_what_is_put() -> None:
    channel: Channel[int] = Channel(1)
    threading.Timer(0.01, channel.put, (1,)).start()

    assert in_time(lambda: channel.take(PATIENCE)) == [1]


def test_who_puts_into_a_full_channel_waits_for_room() -> None:
    channel: Channel[int] = Channel(2)
    put = Counter()

    def work() -> None:
        for number in range(4):
            channel.put(number)
            put.add()

    start_thread(work, "putter")
    assert put.reaches(2)
    assert not put.reaches(3, seconds=0.1)

    assert in_time(channel.take) == [0, 1]
    assert put.reaches(4)
    assert in_time(channel.take) == [2, 3]


def test_who_puts_more_bytes_than_there_is_room_for_waits() -> None:
    channel: Channel[str] = Channel(100, max_size=10)
    put = Counter()

    def work() -> None:
        for text in ("four", "three", "four", "much longer than the room is", "x"):
            channel.put(text, len(text))
            put.add()

    start_thread(work, "putter")
    assert put.reaches(2)
    assert not put.reaches(3, seconds=0.1)

    assert in_time(channel.take) == ["four", "three"]
    assert put.reaches(3)
    assert not put.reaches(4, seconds=0.1)
    assert in_time(channel.take) == ["four"]
    assert put.reaches(4)
    assert not put.reaches(5, seconds=0.1)
    assert in_time(channel.take) == ["much longer than the room is"]
    assert put.reaches(5)
    assert in_time(channel.take) == ["x"]


def test_closing_turns_away_those_who_wait_and_those_who_come() -> None:
    channel: Channel[int] = Channel(1)
    channel.put(0)
    turned_away = Counter()

    def work() -> None:
        try:
            channel.put(1)
        except ChannelClosedError:
            turned_away.add()

    for _ in range(3):
        start_thread(work, "putter")
    channel.close()

    assert turned_away.reaches(3)
    with pytest.raises(ChannelClosedError):
        channel.put(2)


def test_many_may_put_and_nothing_is_lost() -> None:
    channel: Channel[int] = Channel(4)

    def put(first: int) -> None:
        for number in range(first, first + 100):
            channel.put(number)

    for first in range(0, 800, 100):
        start_thread(lambda first=first: put(first), "putter")  # type: ignore[misc]

    def listen() -> list[int]:
        taken: list[int] = []
        while len(taken) < 800:
            taken += channel.take(PATIENCE)
        return taken

    assert sorted(in_time(listen)) == list(range(800))


def test_a_worker_does_not_keep_the_process_from_ending() -> None:
    seen: list[bool] = []
    done = threading.Event()

    def work() -> None:
        seen.append(threading.current_thread().daemon)
        done.set()

    start_thread(work, "worker")
    happens(done)

    assert seen == [True]


def test_a_cancellation_calls_those_who_wait_once() -> None:
    cancellation, called = Cancellation(), []

    with cancellation.calling(lambda: called.append(1)):
        assert (cancellation.is_set(), called) == (False, [])
        cancellation.set()
        cancellation.set()

    assert (cancellation.is_set(), cancellation.event.is_set(), called) == (True, True, [1])


def test_a_cancellation_that_was_before_calls_at_once() -> None:
    cancellation, called = Cancellation(), []
    cancellation.set()

    with cancellation.calling(lambda: called.append(1)):
        assert called == [1]


def test_a_cancellation_does_not_call_those_who_have_left() -> None:
    cancellation, called = Cancellation(), []

    with cancellation.calling(lambda: called.append(1)):
        pass
    with pytest.raises(ValueError), cancellation.calling(lambda: called.append(2)):
        raise ValueError
    cancellation.set()

    assert called == []
