"""Texts with large integers are read as the standard library reads them, and as fast as others."""

from __future__ import annotations

import json
import math
import secrets
import time
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flask_braintrust_evals.serialization import json_reading
from flask_braintrust_evals.serialization.json_reading import MAX_DIGITS, loads

LARGE = "1" + "0" * 30
SPACES = st.text(" \t\n\r", max_size=2)
INTEGERS = st.one_of(
    st.integers(),
    st.integers(2**63 - 3, 2**63 + 3),
    st.integers(2**64 - 3, 2**64 + 3),
    st.integers(10**19 - 3, 10**20 + 3),
    st.integers(10**300, 10**320),
).flatmap(lambda number: st.sampled_from([str(number), str(-number).replace("--", "")]))
NUMBERS = st.one_of(
    INTEGERS,
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.tuples(INTEGERS, st.sampled_from([".0", ".5", "e0", "E+5", "e-400", "e400", ".1e-2"])).map(
        "".join
    ),
    st.sampled_from(["-0", "-0.0", "0", "1e400", "-1e999", "0." + "1" * 40, "1" * MAX_DIGITS]),
)
STRINGS = st.one_of(
    st.text(max_size=4).map(json.dumps),
    st.text('"\\a1', max_size=6).map(json.dumps),
    st.text("é😀\x7f", max_size=3).map(lambda text: json.dumps(text, ensure_ascii=False)),
    st.sampled_from([LARGE, f"[{LARGE},", f'"{LARGE}"', "\\" * 3 + LARGE, f"\n{LARGE}:"]).map(
        json.dumps
    ),
    st.sampled_from(['"\\ud83d\\ude00"', '"\\ud800"', '"\\udc00\\ud800"', f'"\\u0031{LARGE}"']),
)


def array(items: list[str]) -> str:
    return f"[{','.join(items)}]"


def an_object(items: list[tuple[str, str, str, str]]) -> str:
    return (
        "{" + ",".join(f"{key}{space}:{after}{value}" for key, space, after, value in items) + "}"
    )


VALUES = st.recursive(
    NUMBERS | STRINGS | st.sampled_from(["true", "false", "null"]),
    lambda inner: (
        st.lists(st.tuples(SPACES, inner, SPACES).map("".join), max_size=4).map(array)
        | st.lists(st.tuples(STRINGS, SPACES, SPACES, inner), max_size=4).map(an_object)
    ),
    max_leaves=12,
)
CHANGES = st.lists(
    st.tuples(st.integers(0), st.sampled_from(["", *'[]{}",:\\-+.eE01 x', LARGE, f'"{LARGE}"'])),
    max_size=2,
)
"""Where a character of a text is replaced, and by what."""


def changed(text: str, changes: list[tuple[int, str]]) -> str:
    for place, new in changes:
        at = place % (len(text) + 1)
        text = text[:at] + new + text[at + 1 :]
    return text


def refuse(constant: str) -> Any:
    raise ValueError(constant)


def finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(text)
    return number


def encodable(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse lone surrogates, which are no text, also in what another entry replaces."""
    json.dumps(pairs, ensure_ascii=False).encode()
    return dict(pairs)


def expected(text: str) -> Any:
    """What the standard library reads; ValueError: it is not what any parser should read."""
    value = json.loads(text, parse_constant=refuse, parse_float=finite, object_pairs_hook=encodable)
    encodable([("", value)])
    return value


def same(one: Any, other: Any) -> bool:
    """Whether values are equal, and of the same types, with the signs of zeros and the orders."""
    return repr(one) == repr(other)


def check(text: str) -> None:
    try:
        value = expected(text)
    except ValueError:
        for given_text in (text, text.encode("utf-8", "surrogatepass")):
            with pytest.raises(orjson.JSONDecodeError):
                loads(given_text)
    else:
        assert same(loads(text), value)
        assert same(loads(text.encode()), value)


@pytest.mark.slow
@given(VALUES, SPACES, CHANGES)
@example(f'{{{LARGE}:1, "a":{LARGE}}}', "", [])
@example(f'{{"a" {LARGE} : 1}}', "", [])
@example(f'["a"{LARGE}]', "", [])
@settings(max_examples=400, deadline=None)
def test_every_text_is_read_as_the_standard_library_reads_it(
    text: str, space: str, changes: list[tuple[int, str]]
) -> None:
    check(space + changed(text, changes) + space)


@pytest.mark.slow
@given(VALUES, CHANGES, st.integers(1, 40))
@settings(max_examples=200, deadline=None)
def test_slices_do_not_change_what_is_read(
    text: str, changes: list[tuple[int, str]], size: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_reading, "_SLICE", size)
        patch.setattr(json_reading, "_VALUES", 1)
        check(f"[{LARGE},{changed(text, changes)}]")


@pytest.mark.parametrize(
    "text",
    [
        LARGE,
        f" -{LARGE}\n",
        str(2**64 - 1),
        str(2**64),
        str(-(2**63)),
        str(-(2**63) - 1),
        f'{{"a":{LARGE},"a":[{LARGE}],"b":"{LARGE}"}}',
        f"[{LARGE}.5,{LARGE}e2,1.{LARGE},1e-{LARGE},-{LARGE}]",
        f'["\\\\",{LARGE},"\\\\\\"",{LARGE},"\\"{LARGE}",{LARGE}]',
        f"[{'1' * 309},{'1' * 310},-{'9' * MAX_DIGITS}]",
        "[" * 1000 + LARGE + "]" * 1000,
    ],
)
def test_large_integers_have_all_their_digits(text: str) -> None:
    value = loads(text)
    if not text.startswith("[[["):  # deeper than repr() goes
        assert same(value, expected(text))
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    assert text.startswith("[" * 1000) is (value == 10**30 and text.startswith("["))


@pytest.mark.parametrize(
    "text",
    [
        f"0{LARGE}",
        f"+{LARGE}",
        f"--{LARGE}",
        f"{LARGE}-",
        f"{LARGE}x",
        f"x{LARGE}",
        f"1-{LARGE}",
        f"{LARGE} {LARGE}",
        f"{LARGE},",
        f"[{LARGE}",
        f"{{{LARGE}:1}}",
        f"{{{LARGE} \n:1}}",
        f'{{"a":1,{LARGE}:1}}',
        f'["a"{LARGE}]',
        f'[{LARGE}"a"]',
        f'[\\"{LARGE}"]',
        f'["{LARGE}]',
        f"[{LARGE},1e400]",
        f'[{LARGE},"\\ud800"]',
        f"[{LARGE},NaN]",
        f"[{LARGE},{'1' * (MAX_DIGITS + 1)}]",
        f"-{'1' * (MAX_DIGITS + 1)}",
        f"[{'1' * 1_000_000}]",
        "[" * 2000 + LARGE + "]" * 2000,
    ],
)
def test_what_is_no_json_is_refused_with_large_integers_too(text: str) -> None:
    with pytest.raises(orjson.JSONDecodeError):
        loads(text)
    with pytest.raises(orjson.JSONDecodeError):
        loads(text.encode())


def test_an_error_names_its_place_in_the_text() -> None:
    with pytest.raises(orjson.JSONDecodeError) as error:
        loads(f"[{LARGE},{LARGE},nul]")
    assert error.value.pos > 64
    with pytest.raises(orjson.JSONDecodeError) as ordinary:
        loads("[" + "1.0," * 20 + "nul]")
    assert str(error.value).partition(":")[0] == str(ordinary.value).partition(":")[0]


def test_bytes_that_are_no_text_are_refused() -> None:
    for wrong in (b"\xff", b"\xed\xa0\x80", LARGE.encode("utf-16")):
        with pytest.raises(orjson.JSONDecodeError):
            loads(b"[" + LARGE.encode() + b',"' + wrong + b'"]')


def test_a_byte_order_mark_is_refused() -> None:
    with pytest.raises(orjson.JSONDecodeError):
        loads(b"\xef\xbb\xbf" + LARGE.encode())


def test_a_string_cannot_pass_for_an_integer(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = ["0" * 32, "a" * 32]
    monkeypatch.setattr(secrets, "token_hex", lambda size: chosen.pop()[: 2 * size])
    assert loads(LARGE) == 10**30  # with the first one, which nobody can guess and none comes twice
    text = json.dumps(["a" * 32 + "5", 10**30])
    assert loads(text) == json.loads(text)
    assert chosen == []


class Clock:
    """Measures the longest time between two pauses."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._last = time.process_time()

    def pause(self) -> None:
        now = time.process_time()
        self.longest = max(self.longest, now - self._last)
        self._last = now


def longest_step(text: bytes) -> float:
    """Seconds of the longest step in which a text is read, the quickest of three times."""
    found = []
    for _ in range(3):
        clock = Clock()
        loads(text, clock.pause)
        clock.pause()
        found.append(clock.longest)
    return min(found)


@pytest.mark.slow
@pytest.mark.parametrize(
    "large", [LARGE.encode(), b",".join([LARGE.encode()] * 20_000)], ids=["one", "many"]
)
def test_no_step_takes_longer_than_reading_the_same_text_without_large_integers(
    large: bytes,
) -> None:
    long = b'"' + b"a\\n" * 1_000_000 + '\N{GRINNING FACE}"'.encode()
    without = large.replace(LARGE.encode(), b'"' + b"m" * 33 + b'"')
    usual = longest_step(b"[" + long + b"," + without + b"]")
    step = longest_step(b"[" + large + b"," + long + b"]")
    assert step < 2 * usual + 0.02
