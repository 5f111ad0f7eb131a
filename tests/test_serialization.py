"""Any value as JSON that every parser accepts."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import json
import types
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr

from flask_braintrust_evals.errors import EvalsError, SerializationError
from flask_braintrust_evals.serialization import MAX_DEPTH, clean_text, dumps

NAN, INF = float("nan"), float("inf")
UTC = datetime.timezone.utc


def parse(text: str) -> Any:
    """Parse as strictly as a browser does."""

    def refuse(constant: str) -> Any:
        raise AssertionError(f"{constant} is not JSON")

    assert text.encode("utf-8").decode("utf-8") == text
    assert not any(ord(character) < 0x20 for character in text)
    return json.loads(text, parse_constant=refuse)


def written(value: Any) -> Any:
    return parse(dumps(value))


class Colour(enum.Enum):
    RED = "red"
    GRID = (1, 2)
    NOT_A_NUMBER = NAN


class Level(enum.IntEnum):
    LOW = 1


class Flags(enum.Flag):
    A = 1
    B = 2


@dataclasses.dataclass
class Point:
    x: Any
    y: Any = None


@dataclasses.dataclass(frozen=True)
class Private:
    shown: int
    _kept: int


@attrs.define
class Bag:
    content: Any


class Pair(NamedTuple):
    left: Any
    right: Any


class Address(BaseModel):
    city: str
    key: SecretStr
    at: datetime.datetime | None = None


class Person(BaseModel):
    name: str
    address: Address
    scores: dict[str, float]


class Named:
    def __str__(self) -> str:
        return "named"


class NumberOfTwo(int):
    pass


class Half(float):
    pass


class Shout(str):
    __slots__ = ()


class Array:
    """As much of a numpy array as is looked at."""

    dtype = "float64"

    def tolist(self) -> list[float]:
        return [1.5, NAN]


class Countable:
    def __iter__(self) -> Iterator[int]:
        return iter((1, 2))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(None, None, id="none"),
        pytest.param(True, True, id="true"),
        pytest.param(0, 0, id="zero"),
        pytest.param(1.5, 1.5, id="float"),
        pytest.param("ä€😀", "ä€😀", id="text"),
        pytest.param(NAN, "NaN", id="nan"),
        pytest.param(INF, "Infinity", id="infinity"),
        pytest.param(-INF, "-Infinity", id="minus infinity"),
        pytest.param(Half(NAN), "NaN", id="nan of a subclass of float"),
        pytest.param([NAN], ["NaN"], id="nan in a list"),
        pytest.param([NAN, None], ["NaN", None], id="nan beside none"),
        pytest.param({"a": {"b": (NAN, [None])}}, {"a": {"b": ["NaN", [None]]}}, id="nan deep"),
        pytest.param(["null", NAN], ["null", "NaN"], id="nan beside the word null"),
        pytest.param(Point(NAN), {"x": "NaN", "y": None}, id="nan in a dataclass"),
        pytest.param({"a": {NAN}}, {"a": ["NaN"]}, id="nan in a set"),
        pytest.param(2**63, 2**63, id="just over 63 bits"),
        pytest.param(2**64, 2**64, id="over 64 bits"),
        pytest.param(-(2**100), -(2**100), id="far below 64 bits"),
        pytest.param([2**64, NAN, None], [2**64, "NaN", None], id="over 64 bits beside nan"),
        pytest.param(NumberOfTwo(2), 2, id="subclass of int"),
        pytest.param(NumberOfTwo(2**70), 2**70, id="big subclass of int"),
        pytest.param(Half(0.5), 0.5, id="subclass of float"),
        pytest.param(Shout("hey"), "hey", id="subclass of str"),
        pytest.param(b"plain text", "plain text", id="bytes that are text"),
        pytest.param(
            b"\xff\x00", "data:application/octet-stream;base64,/wA=", id="bytes that are not"
        ),
        pytest.param(bytearray(b"ab"), "ab", id="bytearray"),
        pytest.param(memoryview(b"ab"), "ab", id="memoryview"),
        pytest.param({3, 1, 2}, [1, 2, 3], id="set"),
        pytest.param(frozenset({"b", "a"}), ["a", "b"], id="frozenset"),
        pytest.param(frozenset({1, "a"}), ["a", 1], id="frozenset of mixed types"),
        pytest.param((1, (2,)), [1, [2]], id="tuples"),
        pytest.param(Pair(1, b"x"), [1, "x"], id="named tuple"),
        pytest.param(Point(1, Point(2)), {"x": 1, "y": {"x": 2, "y": None}}, id="dataclasses"),
        pytest.param(Bag({1}), {"content": [1]}, id="attrs"),
        pytest.param(Array(), [1.5, "NaN"], id="what looks like a numpy array"),
        pytest.param(datetime.datetime(2024, 5, 6, 7, 8, 9), "2024-05-06T07:08:09", id="datetime"),
        pytest.param(
            datetime.datetime(2024, 5, 6, 7, 8, 9, 10, tzinfo=UTC),
            "2024-05-06T07:08:09.000010+00:00",
            id="datetime in utc",
        ),
        pytest.param(datetime.date(2024, 5, 6), "2024-05-06", id="date"),
        pytest.param(datetime.time(7, 8), "07:08:00", id="time"),
        pytest.param(datetime.time(7, 8, tzinfo=UTC), "07:08:00+00:00", id="time in utc"),
        pytest.param(
            datetime.time(0, 0, 0, 10_000), "00:00:00.010000", id="time of hundredths of a second"
        ),
        pytest.param(datetime.timedelta(hours=1), "1:00:00", id="timedelta"),
        pytest.param(decimal.Decimal("1.10"), "1.10", id="decimal"),
        pytest.param(fractions.Fraction(1, 3), "1/3", id="fraction"),
        pytest.param(uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001", id="uuid"),
        pytest.param(PurePosixPath("/a/b"), "/a/b", id="path"),
        pytest.param(Colour.RED, "red", id="enum"),
        pytest.param(Colour.GRID, [1, 2], id="enum of a tuple"),
        pytest.param(Colour.NOT_A_NUMBER, "NaN", id="enum of nan"),
        pytest.param(Level.LOW, 1, id="int enum"),
        pytest.param(Flags.A | Flags.B, 3, id="flags"),
        pytest.param(types.MappingProxyType({"a": {1}}), {"a": [1]}, id="mapping that is no dict"),
        pytest.param(collections.OrderedDict(a=1), {"a": 1}, id="ordered dict"),
        pytest.param(collections.deque([1, b"x"]), [1, "x"], id="deque"),
        pytest.param(range(3), [0, 1, 2], id="range"),
        pytest.param({"a": 1}.keys(), ["a"], id="keys of a dict"),
        pytest.param(Countable(), [1, 2], id="something iterable"),
        pytest.param(Named(), "named", id="any object"),
        pytest.param(Named, str(Named), id="a class"),
        pytest.param(ValueError("no"), "ValueError: no", id="an exception"),
        pytest.param("a\r\nb\rc\nd", "a\r\nb\rc\nd", id="line breaks"),
        pytest.param("\x00\x1f\x7f", "\x00\x1f\x7f", id="control characters"),
        pytest.param("a\u2028b\u2029", "a\u2028b\u2029", id="line separators"),
        pytest.param("\ud800", "\ufffd", id="lone high surrogate"),
        pytest.param("a\udc00b", "a\ufffdb", id="lone low surrogate"),
        pytest.param("\ud83d\ude00", "😀", id="surrogates that make a pair"),
        pytest.param("\ude00\ud83d", "\ufffd\ufffd", id="surrogates the wrong way round"),
        pytest.param("😀\ud83d", "😀\ufffd", id="surrogate after a whole character"),
        pytest.param({"\ud800": "\udfff"}, {"\ufffd": "\ufffd"}, id="surrogates in a dict"),
        pytest.param([], [], id="empty list"),
        pytest.param({}, {}, id="empty dict"),
        pytest.param(set(), [], id="empty set"),
    ],
)
def test_a_value_is_written_as(value: Any, expected: Any) -> None:
    assert written(value) == expected


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        pytest.param(1, "1", id="int"),
        pytest.param(2**70, str(2**70), id="big int"),
        pytest.param(1.5, "1.5", id="float"),
        pytest.param(1e22, "1e+22", id="big float"),
        pytest.param(NAN, "nan", id="nan"),
        pytest.param(True, "true", id="true"),
        pytest.param(False, "false", id="false"),
        pytest.param(None, "null", id="none"),
        pytest.param(Colour.RED, "red", id="enum"),
        pytest.param(Level.LOW, "1", id="int enum"),
        pytest.param(datetime.date(2024, 5, 6), "2024-05-06", id="date"),
        pytest.param(datetime.datetime(2024, 5, 6), "2024-05-06T00:00:00", id="datetime"),
        pytest.param(datetime.time(0, 0, 0, 10_000), "00:00:00.010000", id="time"),
        pytest.param(uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001", id="uuid"),
        pytest.param((1, 2), "(1, 2)", id="tuple"),
        pytest.param(Shout("hey"), "hey", id="subclass of str"),
        pytest.param("a\nb", "a\nb", id="line break"),
    ],
)
@pytest.mark.parametrize("beside", [1, None, NAN], ids=["one", "none", "nan"])
def test_a_key_is_written_as(key: Any, expected: str, beside: Any) -> None:
    assert list(written({key: beside})) == [expected]


def test_a_pydantic_model_is_its_fields_and_its_secrets_stay_secret() -> None:
    at = datetime.datetime(2024, 5, 6, tzinfo=UTC)
    person = Person(
        name="Ada",
        address=Address(city="London", key=SecretStr("hush"), at=at),
        scores={"x": NAN},
    )

    text = dumps([person, None])

    assert "hush" not in text
    assert parse(text) == [
        {
            "name": "Ada",
            "address": {
                "city": "London",
                "key": "**********",
                "at": "2024-05-06T00:00:00+00:00",
            },
            "scores": {"x": "NaN"},
        },
        None,
    ]


def test_a_set_of_mixed_types_is_always_in_the_same_order() -> None:
    values: list[Any] = ["a", 1, (2,), None, b"x"]

    assert dumps(frozenset(values)) == dumps(frozenset(reversed(values)))


def test_what_stands_twice_but_not_within_itself_is_written_twice() -> None:
    shared = [1]

    assert written([shared, shared, {"a": shared}]) == [[1], [1], {"a": [1]}]
    assert written([shared, shared, None]) == [[1], [1], None]


def test_a_dataclass_is_written_the_same_whatever_stands_beside_it() -> None:
    private = Private(1, 2)

    assert written([private])[0] == written([private, None])[0]


def test_what_is_set_on_a_dataclass_beside_its_fields_is_no_field() -> None:
    point = Point(1, 2)
    point.z = 3  # type: ignore[attr-defined]

    assert written(point) == {"x": 1, "y": 2}
    assert written([point, None])[0] == {"x": 1, "y": 2}


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


@pytest.mark.parametrize("content", [1, None, NAN], ids=["one", "none", "nan"])
def test_a_value_may_be_nested_as_deep_as_is_said(content: Any) -> None:
    value = nested(MAX_DEPTH)
    innermost = value
    while innermost:
        innermost = innermost[0]
    innermost.append(content)

    assert parse(dumps(value))


@pytest.mark.parametrize("levels", [300, 100_000])
def test_a_value_that_is_nested_too_deep_is_refused(levels: int) -> None:
    with pytest.raises(SerializationError, match="^the value is nested deeper than 200 levels$"):
        dumps(nested(levels))


def circular_list() -> Any:
    value: list[Any] = [1]
    value.append({"again": value})
    return value


def circular_dict() -> Any:
    value: dict[str, Any] = {}
    value["self"] = value
    return value


def circular_dataclass() -> Any:
    point = Point(1)
    point.y = [point]
    return point


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (circular_list(), "list"),
        (circular_dict(), "dict"),
        (circular_dataclass(), "Point"),
    ],
    ids=["list", "dict", "dataclass"],
)
def test_a_circular_value_is_refused(value: Any, name: str) -> None:
    with pytest.raises(SerializationError, match=f"^a {name} contains itself$"):
        dumps(value)


async def coroutine() -> int:
    return 1


async def asynchronous_generator() -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize("around", [lambda x: x, lambda x: {"a": [x]}], ids=["bare", "nested"])
@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: (x for x in "ab"), "generator"),
        (lambda: iter([1]), "list_iterator"),
        (lambda: map(str, [1]), "map"),
        (coroutine, "coroutine"),
        (asynchronous_generator, "async_generator"),
    ],
    ids=["generator", "iterator", "map", "coroutine", "async generator"],
)
def test_what_has_no_value_yet_is_refused(
    make: Callable[[], Any], name: str, around: Callable[[Any], Any]
) -> None:
    value = make()
    with pytest.raises(SerializationError) as refused:
        dumps(around(value))
    if name == "coroutine":
        value.close()

    assert str(refused.value) == (
        f"a {name} has no value yet: return what it gives, such as a list"
    )


class Mute:
    def __str__(self) -> str:
        raise KeyError("tongue")


def test_an_object_whose_str_fails_is_refused_with_the_reason() -> None:
    with pytest.raises(SerializationError) as refused:
        dumps([Mute()])

    assert str(refused.value) == (
        "a Mute cannot be written as JSON, and its str() fails with KeyError: 'tongue'"
    )


class MuteError(Exception):
    def __str__(self) -> str:
        raise KeyError("tongue")


class Unreadable:
    def __iter__(self) -> Iterator[int]:
        raise KeyError("iter")


class Unrepresentable:
    def __repr__(self) -> str:
        raise KeyError("repr")


class FailingModel:
    def model_dump(self) -> dict[str, Any]:
        raise KeyError("model_dump")


class FailingAttribute:
    def __getattr__(self, name: str) -> Any:
        raise KeyError(name)


class FailingMapping(collections.UserDict[str, int]):
    def __getitem__(self, key: str) -> int:
        raise KeyError("getitem")


def half_made() -> Point:
    point = Point(1)
    del point.x
    return point


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(MuteError(), id="an exception without a str"),
        pytest.param({Mute(): 1}, id="a key without a str"),
        pytest.param(Unreadable(), id="iteration fails"),
        pytest.param({Unrepresentable(), Unrepresentable()}, id="a set without an order"),
        pytest.param({decimal.Decimal("NaN"), decimal.Decimal(1)}, id="a set beyond comparison"),
        pytest.param(FailingModel(), id="model_dump fails"),
        pytest.param(FailingAttribute(), id="attributes fail"),
        pytest.param(FailingMapping(a=1), id="a mapping that cannot be read"),
        pytest.param([half_made(), None], id="a dataclass without one of its fields"),
        pytest.param(10**5000, id="an int of more digits than Python writes"),
        pytest.param({10**5000: 1}, id="a key of more digits than Python writes"),
    ],
)
def test_a_value_that_fails_in_its_own_code_raises_nothing_but_serialization_errors(
    value: Any,
) -> None:
    # Callers of dumps outside a task catch SerializationError alone.
    try:
        text = dumps(value)
    except SerializationError:
        return
    parse(text)


def test_a_serialization_error_is_a_type_error_and_one_of_ours() -> None:
    assert issubclass(SerializationError, TypeError)
    assert issubclass(SerializationError, EvalsError)


@pytest.mark.parametrize(
    ("text", "clean"),
    [("plain", "plain"), ("", ""), ("x\ud800y", "x\ufffdy"), ("\ud83d\ude00", "😀")],
    ids=["plain", "empty", "lone", "pair"],
)
def test_clean_text_can_be_encoded(text: str, clean: str) -> None:
    assert clean_text(text) == clean


text = st.text(st.characters())  # with lone surrogates, which st.text() omits
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    # Lone surrogates are not kept, and there is a test for that above.
    | st.text(),
    lambda inside: st.lists(inside) | st.dictionaries(st.text(), inside),
    max_leaves=20,
)
hashable = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | text
    | st.binary()
    | st.dates()
    | st.datetimes(timezones=st.none() | st.just(UTC))
    | st.times()
    | st.timedeltas()
    | st.decimals().filter(lambda number: not number.is_snan())  # these have no hash
    | st.uuids()
    | st.fractions()
    | st.complex_numbers()
    | st.sampled_from(list(Colour))
    | st.builds(Named)
    | st.builds(Private, st.integers(), st.integers())
)
any_values = st.recursive(
    hashable,
    lambda inside: (
        st.lists(inside)
        | st.tuples(inside, inside)
        | st.frozensets(hashable)
        | st.dictionaries(hashable | st.tuples(hashable), inside)
        | st.dictionaries(text, inside).map(collections.UserDict)
        | st.builds(Point, inside, inside)
        | st.builds(Bag, inside)
        | st.builds(Mute)
        | st.lists(st.integers()).map(iter)
    ),
    max_leaves=20,
)
unhurried = settings(deadline=None, max_examples=100)


@pytest.mark.slow
@unhurried
@given(any_values)
def test_any_value_is_written_as_valid_json_or_refused(value: Any) -> None:
    try:
        text = dumps(value)
    except SerializationError:
        return
    parse(text)


@pytest.mark.slow
@unhurried
@given(any_values)
def test_a_value_is_written_the_same_whatever_stands_beside_it(value: Any) -> None:
    try:
        alone = written([value])
    except SerializationError:
        return
    # None sends a value down another path than one without it.
    assert written([value, None]) == [*alone, None]


@pytest.mark.slow
@unhurried
@given(json_values)
def test_what_is_json_already_stays_what_it_is(value: Any) -> None:
    assert written(value) == value
    assert written([value, None]) == [value, None]
