"""Spans on their way: bounded, in batches, tried again, and counted when given up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from flask_braintrust_evals.cloud.tracing import exporter
from flask_braintrust_evals.cloud.tracing.encoder import Envelope, OtlpChunk
from flask_braintrust_evals.cloud.tracing.exporter import (
    ATTEMPT_TIMEOUT,
    BATCH_BYTES,
    BATCH_SPANS,
    MAX_BYTES_UNDER_WAY,
    MAX_QUEUED_BYTES,
    MAX_QUEUED_SPANS,
    SpanExporter,
)
from flask_braintrust_evals.errors import CloudError
from tests.support import Counter, eventually, happens, waiting_in


class Intake:
    """Takes batches, or fails as it is asked to."""

    def __init__(self, *failures: BaseException) -> None:
        self.failures = list(failures)
        self.batches: list[list[OtlpChunk]] = []
        self.attempts = 0

    def __call__(self, batch: list[OtlpChunk], seconds: float) -> None:
        self.attempts += 1
        assert seconds > 0
        if self.failures:
            raise self.failures.pop(0)
        self.batches.append(batch)


def failure(transient: bool) -> CloudError:
    error = CloudError("no")
    error.transient = transient
    return error


def fill(outbox: SpanExporter[OtlpChunk], count: int, size: int = 100) -> None:
    for number in range(count):
        outbox.add(OtlpChunk(Envelope(f"span {number}", 0), bytes(size), 1))


def test_nothing_is_sent_before_a_batch_is_full() -> None:
    intake = Intake()
    outbox = SpanExporter(intake)
    fill(outbox, BATCH_SPANS - 1)
    outbox.send_full_batches()
    assert intake.batches == []
    fill(outbox, 1)
    outbox.send_full_batches()
    assert [len(batch) for batch in intake.batches] == [BATCH_SPANS]


def test_a_batch_is_bounded_in_bytes_too_but_never_empty() -> None:
    intake = Intake()
    outbox = SpanExporter(intake)
    fill(outbox, 5, BATCH_BYTES // 2)
    fill(outbox, 1, BATCH_BYTES * 2)
    outbox.flush(5)
    assert [len(batch) for batch in intake.batches] == [2, 2, 1, 1]


def test_what_was_encoded_together_is_sent_together_and_counts_as_what_it_is() -> None:
    intake = Intake(failure(False))
    outbox = SpanExporter(intake)
    for _ in range(5):
        outbox.add(OtlpChunk(Envelope("case", 0), b"", BATCH_SPANS // 2 - 1))
    outbox.add(OtlpChunk(Envelope("case", 0), b"", BATCH_SPANS + 1))
    outbox.flush(5)
    assert outbox.lost == 2 * (BATCH_SPANS // 2 - 1)
    assert [len(batch) for batch in intake.batches] == [2, 1, 1]


@pytest.mark.parametrize(
    ("count", "size"), [(MAX_QUEUED_SPANS + 7, 1), (40, MAX_QUEUED_BYTES // 33)]
)
def test_what_waits_is_bounded_and_what_is_too_much_is_counted(count: int, size: int) -> None:
    outbox = SpanExporter(Intake(*[failure(True)] * 1000))
    fill(outbox, count, size)
    assert outbox.lost == 7


def test_a_temporary_failure_keeps_the_order_and_loses_nothing() -> None:
    intake = Intake(failure(True), failure(True))
    outbox = SpanExporter(intake)
    fill(outbox, BATCH_SPANS + 3)
    outbox.flush(10)
    names = [span.envelope.message for batch in intake.batches for span in batch]
    assert names == [f"span {number}" for number in range(BATCH_SPANS + 3)]
    assert outbox.lost == 0


def test_while_nothing_is_taken_a_full_batch_does_not_try_again_at_once() -> None:
    intake = Intake(*[failure(True)] * 5)
    outbox = SpanExporter(intake)
    fill(outbox, BATCH_SPANS)
    outbox.send_full_batches()
    outbox.send_full_batches()
    assert intake.attempts == 1


def test_a_refusal_is_final_for_its_batch_alone() -> None:
    intake = Intake(failure(False))
    outbox = SpanExporter(intake)
    fill(outbox, BATCH_SPANS + 3)
    outbox.flush(5)
    assert [len(batch) for batch in intake.batches] == [3]
    assert outbox.lost == BATCH_SPANS


def test_what_is_interrupted_is_sent_by_the_next_flush() -> None:
    intake = Intake(KeyboardInterrupt())
    outbox = SpanExporter(intake)
    fill(outbox, 3)
    with pytest.raises(KeyboardInterrupt):
        outbox.send_queued()
    outbox.flush(5)
    assert ([len(batch) for batch in intake.batches], outbox.lost) == ([3], 0)


def test_giving_up_counts_all_waiting_spans() -> None:
    intake = Intake(*[failure(True)] * 1000)
    outbox = SpanExporter(intake)
    fill(outbox, 12)
    outbox.flush(1.0)
    assert outbox.lost == 12
    assert 1 < intake.attempts < 10
    outbox.flush(5)  # there is nothing left to wait for
    assert outbox.lost == 12


def test_braintrusts_own_pause_is_kept_to() -> None:
    error = failure(True)
    error.retry_after = 30.0
    intake = Intake(error)
    outbox = SpanExporter(intake)
    fill(outbox, 1)
    outbox.flush(0.2)
    assert (intake.attempts, outbox.lost) == (1, 1)


@pytest.mark.parametrize(
    ("asked", "pause"),
    [((None, None, None), 4.0), ((30.0, None), 30.0), ((None, 30.0), 30.0)],
    ids=["none", "first", "last"],
)
def test_attempts_that_fail_together_begin_one_pause(
    monkeypatch: pytest.MonkeyPatch, asked: tuple[float | None, ...], pause: float
) -> None:
    monkeypatch.setattr(exporter, "MIN_PAUSE", 4.0)
    sending, failures = Counter(), [failure(True) for _ in asked]
    go_on = {error: threading.Event() for error in failures}

    def send(batch: list[OtlpChunk], seconds: float) -> None:
        error = failures[sending.value]
        sending.add()
        happens(go_on[error])
        raise error

    outbox = SpanExporter(send)
    threads = []
    for error, seconds in zip(failures, asked, strict=True):
        error.retry_after = seconds
        outbox.add(OtlpChunk(Envelope("spans", 0), b"", BATCH_SPANS))
        threads.append(threading.Thread(target=outbox.send_full_batches, daemon=True))
        threads[-1].start()
        assert sending.reaches(len(threads))
    for thread, event in zip(threads, go_on.values(), strict=True):
        event.set()
        thread.join(10)
    assert pause - 2 < outbox._backoff.until - time.monotonic() <= pause


def test_what_is_queued_is_sent_at_once_and_stays_queued_after_a_failure() -> None:
    intake = Intake(failure(True))
    outbox = SpanExporter(intake)
    outbox.send_queued()
    fill(outbox, 3)
    outbox.send_queued()
    outbox.send_queued()
    assert (intake.attempts, intake.batches, outbox.lost) == (1, [], 0)
    outbox.flush(5)
    fill(outbox, 2)
    outbox.send_queued()
    assert [len(batch) for batch in intake.batches] == [3, 2]


@pytest.mark.parametrize("accepted", [True, False])
def test_only_so_many_bytes_are_sent_at_a_time_and_others_wait(accepted: bool) -> None:
    sending, go_on, attempts = Counter(), threading.Event(), list[float]()

    def send(batch: list[OtlpChunk], seconds: float) -> None:
        attempts.append(seconds)
        sending.add()
        happens(go_on)
        sending.add(-1)
        if not accepted:
            raise failure(True)

    outbox = SpanExporter(send)
    at_a_time = MAX_BYTES_UNDER_WAY // BATCH_BYTES
    fill(outbox, at_a_time + 3, BATCH_BYTES)
    threads = [
        threading.Thread(target=outbox.send_full_batches, name="sender")
        for _ in range(at_a_time + 2)
    ]
    for thread in threads:
        thread.start()
    assert sending.reaches(at_a_time)
    eventually(lambda: waiting_in(threading.Condition.wait_for, "sender") == 2)
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert not any(thread.is_alive() for thread in threads)
    assert (sending.peak, sending.value, outbox.lost) == (at_a_time, 0, 0)
    # Those that have waited send nothing in the pause after a failure.
    count, left = (at_a_time + 3, 0) if accepted else (at_a_time, at_a_time + 3)
    assert len(outbox._queue.chunks) == left
    assert attempts == [ATTEMPT_TIMEOUT] * count, "the time of waiting is not theirs"


def test_what_others_queue_meanwhile_is_not_waited_for() -> None:
    sent: list[int] = []

    def send(batch: list[OtlpChunk], seconds: float) -> None:
        sent.append(len(batch))
        fill(outbox, 1)

    outbox = SpanExporter(send)
    fill(outbox, BATCH_SPANS + 1)
    outbox.send_queued()
    assert sent == [BATCH_SPANS, 2]


@pytest.mark.parametrize(
    "send",
    [lambda outbox: outbox.flush(10), SpanExporter.send_queued],
    ids=["flush", "send_queued"],
)
def test_a_flush_waits_for_batches_that_others_are_sending(
    send: Callable[[SpanExporter[OtlpChunk]], None],
) -> None:
    sending, release = threading.Event(), threading.Event()
    sent: list[int] = []

    def slow(batch: list[OtlpChunk], seconds: float) -> None:
        sending.set()
        assert release.wait(10)
        sent.append(len(batch))

    outbox = SpanExporter(slow)
    fill(outbox, BATCH_SPANS)
    worker = threading.Thread(target=outbox.send_full_batches)
    worker.start()
    assert sending.wait(10)
    found: list[list[int]] = []

    def send_and_look() -> None:
        send(outbox)
        found.append([*sent])

    flushed = threading.Thread(target=send_and_look)
    flushed.start()
    flushed.join(0.05)
    release.set()
    flushed.join(10)
    worker.join(10)
    assert found == [[BATCH_SPANS]]
