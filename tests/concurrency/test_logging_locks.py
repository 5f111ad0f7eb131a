"""The locks of logging, with real threads beside gevent's greenlets."""

from __future__ import annotations

import pytest

from tests.support import python

pytestmark = pytest.mark.slow

CROWD = """
    from gevent import monkey
    monkey.patch_all()
    import asyncio, logging, tempfile, threading, time
    from flask_braintrust_evals.concurrency.cancellation import Cancellation
    from flask_braintrust_evals.concurrency.loops.event_loop import background_loop

    early, late = tempfile.TemporaryFile("w+"), tempfile.TemporaryFile("w+")
    logging.basicConfig(stream=early, format="%(message)s")
    logger, done = logging.getLogger("tools"), []
    logger.setLevel(logging.DEBUG)

    def in_thread():
        for _ in range(20):
            logger.debug("thread")
            time.sleep(0.0005)

    async def on_loop():
        for _ in range(15):
            await asyncio.gather(*(asyncio.to_thread(in_thread) for _ in range(3)))
            logger.debug("loop")

    def in_greenlet():
        background_loop().run(on_loop(), Cancellation())
        done.append(True)

    background_loop().run(asyncio.sleep(0), Cancellation())
    logger.addHandler(logging.StreamHandler(late))
    for _ in range(6):
        threading.Thread(target=in_greenlet, daemon=True).start()
    deadline = time.monotonic() + 15
    while len(done) < 6:
        assert time.monotonic() < deadline, "some wait for ever"
        logger.debug("greenlet")
        time.sleep(0.001)
    for written in (early, late):
        written.seek(0)
        lines = written.read().splitlines()
        print(lines.count("thread"), sorted(set(lines)))
    # With gevent's own locks, only some of these programs wait for ever.
    handlers = [*logger.handlers, *logging.root.handlers]
    print({type(lock).__name__ for lock in (logging._lock, *(each.lock for each in handlers))})
"""

UNDER_WAY = """
    from gevent import monkey
    monkey.patch_all()
    import logging, threading, time
    from flask_braintrust_evals.concurrency.native_threads import NativeThreads

    class Slow(logging.Handler):
        def emit(self, record):
            time.sleep(0.02)
            events.append(record.msg)
            if record.msg == "outer":
                logger.error("inner")

    events, logger = [], logging.getLogger("tools")
    logger.addHandler(Slow())

    def log(*messages):
        threads = [threading.Thread(target=logger.error, args=(each,)) for each in messages]
        for each in threads:
            each.start()
        return threads

    threads = log("first", "second", "third")
    time.sleep(0.01)
    call = NativeThreads(1).submit(logger.error, "thread")
    threads += log("outer")
    for each in threads:
        each.join()
    while not call.done():
        time.sleep(0.001)
    print(sorted(events), call.exception())
"""


MAIN_THREAD_WANTED = """
    from gevent import monkey
    monkey.patch_all()
    import faulthandler, logging, logging.config, threading, time
    import gevent
    from flask_braintrust_evals.concurrency.native_threads import NativeThreads

    faulthandler.dump_traceback_later(15, exit=True)

    class Waiting(logging.Handler):
        def emit(self, record):
            with lock:
                written.append(record.msg)

    lock, written, logger = threading.Lock(), [], logging.getLogger("tools")
    handler = Waiting()
    logger.addHandler(handler)
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": False})

    def hold():
        with lock:
            time.sleep(0.2)

    for killed in (False, True):
        gevent.spawn(hold)
        gevent.sleep()
        call = NativeThreads(1).submit(logger.error, "thread")
        time.sleep(0.05)
        waiting = gevent.spawn(logger.error, "greenlet")
        time.sleep(0.05)
        print(handler.lock.acquire(blocking=False), handler.lock.acquire(timeout=0.001))
        if killed:
            waiting.kill()
        waiting.join()
        while not call.done():
            time.sleep(0.001)
        logger.error("last")
        print(written, call.exception(), waiting.successful())
        written.clear()
"""


AGAIN = """
    from gevent import monkey
    monkey.patch_all()
    import threading
    from flask_braintrust_evals.concurrency.logging_locks import LoggingLock

    class Interrupted(LoggingLock):
        def _release_between_threads(self):
            with self:  # as a finalizer that logs
                pass
            super()._release_between_threads()

    lock = Interrupted(threading.RLock())
    for _ in range(2):
        with lock, lock:
            pass
    print(lock.acquire(blocking=False))
"""


AT_THE_END = """
    from gevent import monkey
    monkey.patch_all()
    import threading
    from flask_braintrust_evals.concurrency import logging_locks

    lock = logging_locks.LoggingLock(threading.RLock())
    for name in [*vars(logging_locks)]:
        setattr(logging_locks, name, None)
    with lock, lock:
        print("written")
"""


def test_handlers_that_are_forgotten_when_python_ends_find_their_locks() -> None:
    assert python(AT_THE_END, fresh=True) == "written\n"


def test_a_finalizer_that_logs_in_the_middle_of_a_release_does_not_wait_for_itself() -> None:
    assert python(AGAIN) == "True\n"


def test_threads_coroutines_and_greenlets_that_log_at_the_same_time_do_not_wait_for_ever() -> None:
    written = "5400 ['greenlet', 'loop', 'thread']\n"
    assert python(CROWD) == f"{written}{written}{{'LoggingLock'}}\n"


def test_records_that_are_written_while_the_first_thread_starts_are_finished() -> None:
    written = "['first', 'inner', 'outer', 'second', 'third', 'thread'] None\n"
    assert python(UNDER_WAY) == written


def test_a_thread_that_logs_may_wait_for_a_greenlet_of_the_main_thread() -> None:
    assert python(MAIN_THREAD_WANTED).splitlines() == [
        "False False",
        "['thread', 'greenlet', 'last'] None True",
        "False False",
        "['thread', 'last'] None True",
    ]
