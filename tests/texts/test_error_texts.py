"""Failures whose own text fails, or is no text, or has no end, are reported all the same."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from flask_braintrust_evals import Evaluator
from flask_braintrust_evals.errors import EvalsError
from flask_braintrust_evals.texts.error_texts import MAX_STACK, error_text, message_text, stack_text
from flask_braintrust_evals.texts.log_filter import OneRecordFilter
from flask_braintrust_evals.texts.safe_texts import MAX_TEXT, safe_text
from tests.support import in_time


class RaisesItself(Exception):
    def __str__(self) -> str:
        raise self

    __repr__ = __str__


class RaisesItselfToo(BaseException):
    def __str__(self) -> str:
        raise self

    __repr__ = __str__


class NoText(Exception):
    def __str__(self) -> str:
        return 5  # type: ignore[return-value]


class Long(Exception):
    def __str__(self) -> str:
        return "x" * 3_000_000


class OwnText(str):
    def encode(self, *args: Any) -> bytes:
        raise OSError

    def __len__(self) -> int:
        raise OSError

    def __format__(self, spec: str) -> str:
        raise OSError


class Derived(Exception):
    def __str__(self) -> str:
        return OwnText("derived")


BAD: list[type[BaseException]] = [RaisesItself, RaisesItselfToo, NoText, Long, Derived, SystemExit]


@pytest.mark.parametrize("kind", BAD)
def test_every_exception_has_a_short_text(kind: type[BaseException]) -> None:
    for text in (error_text(kind()), safe_text(kind())):
        assert type(text) is str
        assert len(text) <= MAX_TEXT + 100
    assert error_text(kind()).startswith(f"{kind.__name__}: ")
    assert len(stack_text(kind())) <= MAX_STACK + 100
    assert safe_text(Derived()) == "derived"


def fail(kind: type[BaseException], when: Any = True) -> Any:
    if when:
        raise kind()
    return when


def two_cases(kind: type[BaseException]) -> Iterator[dict[str, Any]]:
    yield {"input": 1}
    yield {"input": 2}
    raise kind()


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("lazily", [True, False], ids=["while it is read", "when it is made"])
def test_data_that_fails_fails_the_run(kind: type[BaseException], lazily: bool) -> None:
    if kind is RaisesItselfToo and not lazily:
        pytest.skip("is raised as it is, before there is a run")
    data: Any = (lambda: two_cases(kind)) if lazily else (lambda: fail(kind))
    evaluator = Evaluator("e", lambda input: input, data=data)
    with pytest.raises(EvalsError, match=f"{kind.__name__}: "):
        in_time(evaluator.run)


@pytest.mark.parametrize("kind", BAD)
def test_tasks_and_scorers_that_fail_fail_their_part_of_a_case(kind: type[BaseException]) -> None:
    def scorer(output: Any) -> Any:
        return fail(kind, output == 1) or 1

    async def awaited(output: Any) -> Any:
        return fail(kind, output == 1) or 1

    evaluator = Evaluator(
        "e",
        lambda input: fail(kind, input == 0) or input,
        scores=[scorer, awaited],
        classifiers=[lambda output: fail(kind)],
        error_score_handler=lambda span, case, failed: fail(kind),
    )
    result = in_time(lambda: evaluator.run([{"input": n} for n in range(3)]))
    assert result.summary.cases == 3
    by_input = {each.case.input: each for each in result.results}
    error = by_input[0].error
    assert error is not None and error.type == kind.__name__
    assert len(error.message) < MAX_TEXT + 100 and len(error.stack) < MAX_STACK + 100
    assert {"scorer", "awaited"} <= by_input[1].scorer_errors.keys()
    assert by_input[2].scores.keys() == {"scorer", "awaited"}
    assert all(each.scorer_errors for each in result.results[1:])


@pytest.mark.parametrize("blocking", [True, False])
def test_an_error_of_an_event_loop_without_a_text_does_not_hang(blocking: bool) -> None:
    class Odd(RuntimeError):
        def __str__(self) -> str:
            raise self

    def scorer(output: Any) -> Any:
        raise Odd

    evaluator = Evaluator(
        "e", lambda input: fail(Odd), scores=[scorer, lambda output: 1], blocking=blocking
    )
    (result,) = in_time(lambda: evaluator.run([{"input": 1}])).results
    assert result.error is not None and result.error.type == "Odd"


class Group(Exception):
    """A group as the later ones of Python are; 3.10 has none."""

    def __init__(self, text: str, *exceptions: BaseException) -> None:
        super().__init__(text)
        self.exceptions = exceptions


def test_a_group_of_exceptions_has_their_texts_and_their_place() -> None:
    async def task(input: Any) -> Any:
        try:
            fail(KeyError)
        except KeyError as error:
            raise Group("2 sub-exceptions", Group("1", error), ValueError("b")) from None

    (result,) = in_time(lambda: Evaluator("e", task).run([{"input": 1}])).results
    assert result.error is not None
    assert str(result.error) == "Group: 2 sub-exceptions: KeyError: ; ValueError: b"
    assert result.error.place.endswith("in fail: raise kind()")


def test_the_text_of_a_group_of_exceptions_has_an_end() -> None:
    class Circle(Group):
        def __init__(self) -> None:
            super().__init__("a circle", self)

    many = Group("many", *map(Exception, range(1000)))
    assert message_text(many) == "many: Exception: 0; Exception: 1; Exception: 2; …"
    assert message_text(Circle()) == "a circle"
    assert len(message_text(Group("x", Long()))) <= MAX_TEXT + 1


# --- The log ---


class Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self.text += self.format(record) + "\n"


@pytest.fixture
def log() -> Iterator[Lines]:
    handler, logger = Lines(), logging.getLogger("flask_braintrust_evals")
    logger.addHandler(handler)
    level = logger.level
    logger.setLevel(logging.DEBUG)
    yield handler
    logger.setLevel(level)
    logger.removeHandler(handler)


FORGED = "x)\r\nCRITICAL root: run of 'pay' finished\x1b[2J\x85CRITICAL\u2028CRITICAL root: more"


def test_no_text_of_an_exception_begins_a_line_of_the_log(log: Lines) -> None:
    def failing() -> Iterator[Any]:
        yield {"input": 1}
        raise RuntimeError(FORGED)

    def task(input: Any) -> Any:
        raise ValueError(FORGED)

    logger = logging.getLogger("flask_braintrust_evals")
    with pytest.raises(EvalsError):
        Evaluator("e", task, data=failing).run()
    logger.warning("failed: %s", FORGED)
    logger.warning(FORGED)
    starts = [line for line in log.text.splitlines() if not line.startswith("    ")]
    assert len(starts) == 3
    assert all(line.split(": ")[0].endswith(" flask_braintrust_evals") for line in starts)
    assert "RuntimeError" in log.text or "ValueError" in log.text
    assert not {"\r", "\x1b", "\x85", "\u2028"} & {*log.text}
    assert "\\r\\nCRITICAL root" in log.text


def test_a_record_whose_arguments_have_no_text_is_logged(log: Lines) -> None:
    logging.getLogger("flask_braintrust_evals").warning("failed: %s", RaisesItself())
    assert log.text.startswith("WARNING flask_braintrust_evals: failed: %s (RaisesItself in its")


def test_an_ordinary_record_keeps_its_arguments() -> None:
    record = logging.LogRecord("n", logging.INFO, "p", 1, "run of %r: größe", ("ü",), None)
    assert OneRecordFilter().filter(record)
    assert record.args == ("ü",)
    assert record.exc_text is None


def test_handlers_find_the_caller_of_a_log_call_behind_the_frames_of_logging() -> None:
    class Walking(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            frame = inspect.currentframe()
            while frame:
                files.add(frame.f_code.co_filename)
                frame = frame.f_back

    files: set[str] = set()
    logger, handler = logging.getLogger("flask_braintrust_evals"), Walking()
    logger.addHandler(handler)
    try:
        logger.warning("here")
    finally:
        logger.removeHandler(handler)
    assert {__file__, logging.__file__} <= files
    assert not any(file.endswith("log_filter.py") for file in files)


def test_a_log_call_raises_nothing_whatever_the_application_adds_to_logging(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fails(*args: Any, **options: Any) -> Any:
        raise RuntimeError("Working outside of request context.")

    logger = logging.getLogger("flask_braintrust_evals")
    with monkeypatch.context() as patch:
        patch.setattr(logging, "_logRecordFactory", fails)
        logger.warning("to %s", "all", extra={"cases": 3})
    assert [(each.getMessage(), each.cases) for each in caplog.records] == [("to all", 3)]  # type: ignore[attr-defined]
    caplog.handler.addFilter(fails)
    try:
        logger.warning("to nobody")
    finally:
        caplog.handler.removeFilter(fails)
    assert caplog.messages == ["to all"]
    errors = capsys.readouterr().err
    assert errors.count("outside of request context.\n") == 2
    assert "Message: 'to nobody'" in errors
