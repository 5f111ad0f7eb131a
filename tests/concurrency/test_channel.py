"""The channel between workers and consumer, and the signal that ends a run."""

from __future__ import annotations

import threading
from queue import Empty

import pytest

from flask_braintrust_evals.concurrency.cancellation import Cancellation
from flask_braintrust_evals.concurrency.channel import Channel, ChannelClosedError
from flask_braintrust_evals.concurrency.gevent_patch import start_thread
from tests.support import PATIENCE, Counter, eventually, happens, in_time, waiting_in


def test_items_are_taken_in_the_order_in_which_they_were_put() -> None:
    channel: Channel[int] = Channel(3)
    for number in range(3):
        channel.put(number)

    assert channel.take() == [0, 1, 2]


def test_take_raises_empty_after_its_timeout() -> None:
    with pytest.raises(Empty):
        Channel[int](1).take(0.01)


def test_put_wakes_the_consumer() -> None:
    channel: Channel[int] = Channel(1)
    threading.Timer(0.01, channel.put, (1,)).start()

    assert in_time(lambda: channel.take(PATIENCE)) == [1]


def test_put_blocks_while_the_channel_is_full() -> None:
    channel: Channel[int] = Channel(2)
    put = Counter()

    def work() -> None:
        for number in range(4):
            channel.put(number)
            put.add()

    start_thread(work, "putter")
    assert put.reaches(2)
    eventually(lambda: waiting_in(Channel.put, "putter"))
    assert put.value == 2

    assert in_time(channel.take) == [0, 1]
    assert put.reaches(4)
    assert in_time(channel.take) == [2, 3]


def test_put_blocks_while_the_channel_holds_too_many_bytes() -> None:
    channel: Channel[str] = Channel(100, max_size=10)
    put = Counter()

    def work() -> None:
        for text in ("four", "three", "four", "much longer than it may be", "x"):
            channel.put(text, len(text))
            put.add()

    start_thread(work, "putter")
    assert put.reaches(2)
    eventually(lambda: waiting_in(Channel.put, "putter"))
    assert put.value == 2

    assert in_time(channel.take) == ["four", "three"]
    assert put.reaches(3)
    eventually(lambda: waiting_in(Channel.put, "putter"))
    assert put.value == 3
    assert in_time(channel.take) == ["four"]
    assert put.reaches(4)
    eventually(lambda: waiting_in(Channel.put, "putter"))
    assert put.value == 4
    assert in_time(channel.take) == ["much longer than it may be"]
    assert put.reaches(5)
    assert in_time(channel.take) == ["x"]


def test_what_is_added_while_the_consumer_gathers_is_taken_too() -> None:
    channel: Channel[int] = Channel(4)
    channel.put(1)
    assert channel.take(PATIENCE, lambda: channel.put(2)) == [1, 2]
    channel.put(3)
    with pytest.raises(ChannelClosedError):
        channel.take(PATIENCE, channel.close)


def test_closing_fails_waiting_and_later_calls_of_put() -> None:
    channel: Channel[int] = Channel(1)
    channel.put(0)
    failed = Counter()

    def work() -> None:
        try:
            channel.put(1)
        except ChannelClosedError:
            failed.add()

    for _ in range(3):
        start_thread(work, "putter")
    channel.close()

    assert failed.reaches(3)
    with pytest.raises(ChannelClosedError):
        channel.put(2)


def test_items_of_many_producers_all_arrive() -> None:
    channel: Channel[int] = Channel(4)

    def put(first: int) -> None:
        for number in range(first, first + 100):
            channel.put(number)

    for first in range(0, 800, 100):
        start_thread(lambda first=first: put(first), "putter")  # type: ignore[misc]

    def consume() -> list[int]:
        taken: list[int] = []
        while len(taken) < 800:
            taken += channel.take(PATIENCE)
        return taken

    assert sorted(in_time(consume)) == list(range(800))


def test_a_worker_is_a_daemon() -> None:
    seen: list[bool] = []
    done = threading.Event()

    def work() -> None:
        seen.append(threading.current_thread().daemon)
        done.set()

    start_thread(work, "worker")
    happens(done)

    assert seen == [True]


def test_a_cancellation_calls_its_callbacks_once() -> None:
    cancellation, called = Cancellation(), []

    with cancellation.calling(lambda: called.append(1)):
        assert (cancellation.is_set(), called) == (False, [])
        cancellation.set()
        cancellation.set()

    assert (cancellation.is_set(), cancellation.event.is_set(), called) == (True, True, [1])


def test_a_cancellation_that_is_set_calls_a_new_callback_at_once() -> None:
    cancellation, called = Cancellation(), []
    cancellation.set()

    with cancellation.calling(lambda: called.append(1)):
        assert called == [1]


def test_a_cancellation_does_not_call_callbacks_whose_block_has_ended() -> None:
    cancellation, called = Cancellation(), []

    with cancellation.calling(lambda: called.append(1)):
        pass
    with pytest.raises(ValueError), cancellation.calling(lambda: called.append(2)):
        raise ValueError
    cancellation.set()

    assert called == []
