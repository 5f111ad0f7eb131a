"""Any value as JSON that every parser accepts."""

from __future__ import annotations

import array
import collections
import collections.abc
import dataclasses
import datetime
import decimal
import enum
import fractions
import ipaddress
import itertools
import json
import sys
import types
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import PurePosixPath
from typing import Any, ClassVar, NamedTuple
from unittest import mock
from xml.etree import ElementTree

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr

from flask_braintrust_evals.errors import EvalsError, SerializationError
from flask_braintrust_evals.serialization.json_writing import (
    dumps,
    dumps_or_reason,
    dumps_parts,
    plain_parts,
)
from flask_braintrust_evals.serialization.plain_values import MAX_DEPTH
from flask_braintrust_evals.texts.safe_texts import clean_text
from tests.support import in_time, python

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


class Columns:
    """As a data frame of pandas: it gives the names of its columns."""

    def __iter__(self) -> Iterator[str]:
        return iter(("a", "b"))

    def __len__(self) -> int:
        return 1

    def __getitem__(self, name: str) -> Any:
        return Series()

    def keys(self) -> Any:
        return ["a", "b"]

    def to_dict(self) -> dict[str, Any]:
        raise AssertionError("not in a form that pandas chooses")

    def __str__(self) -> str:
        return "   a  b\n0  1  2"


class Series:
    """As a series of pandas: a list of it lacks the index."""

    dtype = "int64"

    def tolist(self) -> list[int]:
        return [1, 2]

    def __iter__(self) -> Iterator[int]:
        return iter((1, 2))

    def to_dict(self) -> dict[str, int]:
        return {"x": 1, "y": 2}

    def __str__(self) -> str:
        return "x    1\ny    2"


class FormerModel:
    """As a model of pydantic v1: it gives pairs of names and values."""

    __fields__: ClassVar = {"a": int, "b": int}

    def dict(self) -> Any:
        return {"a": 1, "b": NAN}

    def __iter__(self) -> Iterator[tuple[str, int]]:
        return iter((("a", 1),))


class FormerRootModel(FormerModel):
    def dict(self) -> Any:
        return {"__root__": [1, 2]}


class Naturals(collections.abc.Sequence[Any]):
    """A sequence without an end."""

    def __getitem__(self, index: Any) -> Any:
        return index

    def __len__(self) -> int:
        return 10**9


class Nested(collections.abc.Sequence[Any]):
    """A sequence of sequences without an end."""

    def __getitem__(self, index: Any) -> Any:
        return Nested()

    def __len__(self) -> int:
        return 10**9


class Squares(collections.abc.Mapping[int, int]):
    def __getitem__(self, key: int) -> int:
        return key * key

    def __iter__(self) -> Iterator[int]:
        return itertools.count()

    def __len__(self) -> int:
        return 10**9


class AnswersAll:
    """As a proxy of a remote object: it has every attribute."""

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwargs: AnswersAll()

    def __str__(self) -> str:
        return "a proxy"


class Counts(collections.abc.Sequence[Any]):
    def __getitem__(self, index: Any) -> Any:
        return [1, 2][index]

    def __len__(self) -> int:
        return 2


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
        pytest.param({"a": 1}.items(), [["a", 1]], id="items of a dict"),
        pytest.param(array.array("i", [1, 2]), [1, 2], id="array of the standard library"),
        pytest.param(collections.UserList([1, {2}]), [1, [2]], id="user list"),
        pytest.param(collections.UserDict(a={1}), {"a": [1]}, id="user dict"),
        pytest.param(collections.UserString("text"), "text", id="user string"),
        pytest.param(Counts(), [1, 2], id="sequence of an own class"),
        pytest.param(Columns(), "   a  b\n0  1  2", id="data frame"),
        pytest.param(Series(), "x    1\ny    2", id="series"),
        pytest.param(np.array([[1.5, NAN]]), [[1.5, "NaN"]], id="numpy array"),
        pytest.param(np.array(2), 2, id="numpy array without a dimension"),
        pytest.param(np.array(["a", None], dtype=object), ["a", None], id="numpy array of objects"),
        pytest.param(np.float32(0.5), 0.5, id="numpy number"),
        pytest.param(FormerModel(), {"a": 1, "b": "NaN"}, id="model of pydantic v1"),
        pytest.param(FormerRootModel(), [1, 2], id="root model of pydantic v1"),
        pytest.param(
            ipaddress.ip_network("10.0.0.0/8"), "10.0.0.0/8", id="iterable that is its text"
        ),
        pytest.param(range(10**9), "range(0, 1000000000)", id="huge range"),
        pytest.param(range(10**30), f"range(0, {10**30})", id="range beyond any memory"),
        pytest.param(AnswersAll(), "a proxy", id="object with every attribute"),
        pytest.param({"a": [AnswersAll(), None]}, {"a": ["a proxy", None]}, id="deep proxy"),
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


@pytest.mark.parametrize(
    "make",
    [
        mock.Mock,
        mock.MagicMock,
        mock.AsyncMock,
        mock.NonCallableMock,
        lambda: mock.Mock(spec=dict),
        lambda: mock.MagicMock(spec=dict),
        lambda: mock.MagicMock(spec=[]),
        lambda: mock.MagicMock(spec=Person),
        lambda: mock.MagicMock(spec=str),
        lambda: mock.MagicMock(spec=Colour.RED),
    ],
)
def test_a_mock_is_its_text(make: Callable[[], Any]) -> None:
    value = make()
    assert written(value) == str(value)
    assert written([value, None]) == [str(value), None]


def test_trees_and_rows_that_are_not_all_of_their_items_are_their_text() -> None:
    element = ElementTree.fromstring("<a x='1'>text<b/></a>")
    tree = ElementTree.ElementTree(element)
    assert written([element, tree]) == [str(element), str(tree)]


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="pydantic.v1 does not support it")
def test_models_of_pydantic_v1_are_their_fields() -> None:
    from pydantic import v1

    inner = v1.create_model("Inner", key=(v1.SecretStr, ...))
    outer = v1.create_model("Outer", inner=(inner, ...), score=(float, ...))
    value = outer(inner={"key": "hush"}, score=NAN)
    assert written(value) == {"inner": {"key": "**********"}, "score": "NaN"}


def test_tables_of_pandas_are_their_text() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1, 2], "b": [NAN, "x"]}, index=["i", "j"])
    assert written(frame) == str(frame)
    assert written({"column": frame["a"]}) == {"column": str(frame["a"])}
    assert written(frame.index) == ["i", "j"]
    assert written([frame["a"].iloc[0], pandas.NA]) == [1, "<NA>"]


def test_graphs_of_networkx_are_their_text() -> None:
    networkx = pytest.importorskip("networkx")
    graph = networkx.path_graph(3)
    assert written(graph) == str(graph)


@pytest.mark.parametrize(
    "value", [Naturals(), Nested(), Squares(), [Naturals(), None]], ids=lambda each: type(each)
)
def test_what_may_have_no_end_is_refused_in_time(value: Any) -> None:
    with pytest.raises(SerializationError) as refused:
        in_time(lambda: dumps(value))
    name = "Naturals" if isinstance(value, list) else type(value).__name__
    assert str(refused.value) == (
        f"a {name} has too many items: at most 100,000 are read of sequences that may have no end;"
        " return a list of what matters"
    )


@pytest.mark.slow
def test_the_items_of_all_computed_sequences_of_a_value_are_counted_together() -> None:
    assert len(written([range(1000)] * 100)) == 100
    assert written([range(60_000), range(60_000)])[1] == "range(0, 60000)"
    written(
        [collections.deque(range(200_000)), list(range(200_000)), array.array("i", [0] * 200_000)]
    )


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
        (lambda: LaterItems(), "LaterItems"),
        (itertools.count, "count"),
    ],
    ids=["generator", "iterator", "map", "coroutine", "async generator", "stream", "endless"],
)
def test_what_has_no_value_yet_is_refused(
    make: Callable[[], Any], name: str, around: Callable[[Any], Any]
) -> None:
    value = make()
    with pytest.raises(SerializationError) as refused:
        dumps(around(value))
    if name == "coroutine":
        value.close()

    kind = f"an {name}" if name.startswith("a") else f"a {name}"
    assert str(refused.value) == f"{kind} has no value yet: return what it gives, such as a list"


class LaterItems:
    """As an asynchronous stream of a client of a language model."""

    def __aiter__(self) -> LaterItems:
        return self

    async def __anext__(self) -> int:
        return 1


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


GENERATOR = "<not serializable: a generator has no value yet: return what it gives, such as a list>"
MUTE = (
    "<not serializable: a Mute cannot be written as JSON, and its str() fails with KeyError:"
    " 'tongue'>"
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param({"a": 1, "b": Mute()}, {"a": 1, "b": MUTE}, id="in a dict"),
        pytest.param([1, (x for x in "ab"), None], [1, GENERATOR, None], id="in a list"),
        pytest.param({"a": {"b": [Mute(), NAN]}}, {"a": {"b": [MUTE, "NaN"]}}, id="deep"),
        pytest.param(Point(1, Mute()), {"x": 1, "y": MUTE}, id="in a dataclass"),
        pytest.param(
            {"a": FailingModel()},
            {
                "a": "<not serializable: a FailingModel cannot be written as JSON: KeyError:"
                " 'model_dump'>"
            },
            id="model that fails",
        ),
        pytest.param(
            {"a": Naturals(), "b": 1},
            {
                "a": "<not serializable: a Naturals has too many items: at most 100,000 are read of"
                " sequences that may have no end; return a list of what matters>",
                "b": 1,
            },
            id="without an end",
        ),
        pytest.param(
            circular_list(),
            [1, {"again": "<not serializable: a list contains itself>"}],
            id="circular",
        ),
        pytest.param({Mute(): 1}, {"<Mute without a text>": 1}, id="key without a text"),
        pytest.param({"a": 1}, {"a": 1}, id="nothing bad"),
    ],
)
def test_a_part_that_cannot_be_written_costs_that_part_alone(value: Any, expected: Any) -> None:
    assert parse(dumps_parts(value)) == expected
    assert parse(dumps_or_reason(value)) == expected
    assert plain_parts(value) == expected


def test_an_integer_of_too_many_digits_costs_itself_alone() -> None:
    many = parse(dumps_parts({"a": 10**5000, "b": 2**70}))
    assert many["a"].startswith("<not serializable: an int cannot be written as JSON: ValueError: ")
    assert many["b"] == 2**70


@pytest.mark.parametrize("levels", [300, 100_000])
def test_what_is_nested_too_deep_is_cut_off_there(levels: int) -> None:
    value = parse(dumps_parts(nested(levels)))
    depth = 0
    while isinstance(value, list):
        (value,), depth = value, depth + 1
    assert depth == MAX_DEPTH
    assert value == "<not serializable: the value is nested deeper than 200 levels>"


def test_a_value_that_cannot_be_written_itself_is_refused_or_its_reason() -> None:
    with pytest.raises(SerializationError, match="^a Mute cannot be written as JSON"):
        dumps_parts(Mute())
    assert parse(dumps_or_reason(Mute())) == MUTE
    assert parse(dumps_or_reason(x for x in "ab")) == GENERATOR


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


@pytest.mark.slow
def test_no_library_is_imported_because_of_a_value() -> None:
    script = """
        import sys
        from flask_braintrust_evals.serialization.json_writing import dumps
        class Answer: text = "a"
        print(dumps([Answer(), {1}, 2.5]) != "", "numpy" in sys.modules)
    """
    assert python(script, fresh=True).split() == ["True", "False"]
