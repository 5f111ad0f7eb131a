"""Finds the content of an object of an unknown class, as lists and dicts.

An object is read only in a way that gives all of its content: by its fields, or by iterating if its
class promises that the items are all there is. Iterating over a data frame gives the names of its
columns, and over a graph its nodes, so iterating alone says nothing.

What an object can do is looked up at its class: mocks and some proxies have every attribute.
"""

from __future__ import annotations

import array
import collections
import dataclasses
import inspect
import itertools
import sys
from collections.abc import (
    AsyncIterator,
    Iterable,
    Iterator,
    KeysView,
    Mapping,
    Sequence,
    Set,
    ValuesView,
)
from typing import Any

from flask_braintrust_evals.errors import SerializationError
from flask_braintrust_evals.texts.excerpts import kind_of

MAX_ITEMS = 100_000
"""Items of one value that are written of sequences, sets and mappings that may compute their items
while they are read, and so may have any number of them."""

NO_CONTENT = object()
"""Says that an object has no content that could be read, or not all of it."""

_IN_MEMORY: Any = (
    collections.deque,
    array.array,
    collections.UserList,
    type({}.keys()),
    type({}.values()),
    type({}.items()),
)
_BASIC = (dict, list, tuple, str, int, float, bool, type(None))


class ContentReader:
    """Reads the contents of the objects of one value.

    Attributes:
        left: how many items may still be read of sequences that may compute their items.
    """

    def __init__(self) -> None:
        self.left = MAX_ITEMS

    def content(self, value: Any) -> Any:
        """Return the content of an object that is neither a mapping nor a class.

        Returns:
            its fields as a dict, its items as a list, or :data:`NO_CONTENT`.

        Raises:
            SerializationError: it is an iterator or a coroutine, or has too many items.
        """
        fields = _fields(value)
        if fields is not NO_CONTENT:
            return fields
        if isinstance(value, Iterator | AsyncIterator) or inspect.isawaitable(value):
            raise SerializationError(
                f"{kind_of(value)} has no value yet: return what it gives, such as a list"
            )
        if isinstance(value, _IN_MEMORY):
            return [*value]
        if isinstance(value, range):
            # The text of a range tells all of it.
            return NO_CONTENT if value[self.left :] else self._items(value, value)
        if isinstance(value, collections.UserString):
            return NO_CONTENT
        if isinstance(value, Sequence | Set | KeysView | ValuesView):
            return self._items(value, value)
        return NO_CONTENT

    def mapping(self, value: Mapping[Any, Any]) -> list[tuple[Any, Any]]:
        """Return the keys and values of a mapping.

        Raises:
            SerializationError: it has too many.
        """
        if isinstance(value, dict):
            return list(value.items())
        return self._items(value, value.items())

    def _items(self, value: Any, items: Iterable[Any]) -> list[Any]:
        read = list(itertools.islice(items, self.left + 1))
        too_many = len(read) > self.left
        self.left = max(0, self.left - len(read))
        if too_many:
            raise SerializationError(
                f"{kind_of(value)} has too many items: at most {MAX_ITEMS:,} are read of"
                " sequences that may have no end; return a list of what matters"
            )
        return read


def is_mock(value: Any) -> bool:
    """Return whether an object is one of ``unittest.mock``, which can pass for any other object."""
    mock = sys.modules.get("unittest.mock")
    return mock is not None and issubclass(type(value), mock.NonCallableMock)


def _fields(value: Any) -> Any:
    """Return the fields of an object as a dict, or the items of an array as a list."""
    kind = type(value)
    if callable(getattr(kind, "model_dump", None)):  # a pydantic model
        dumped = value.model_dump()
        if isinstance(dumped, _BASIC):
            return dumped
    elif callable(getattr(kind, "dict", None)) and hasattr(kind, "__fields__"):  # of pydantic v1
        dumped = value.dict()
        if isinstance(dumped, dict):
            return dumped["__root__"] if [*dumped] == ["__root__"] else dumped
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if hasattr(kind, "__attrs_attrs__"):
        return {field.name: getattr(value, field.name) for field in kind.__attrs_attrs__}
    # A series of pandas has an index, too, which its list lacks: it has to_dict().
    if hasattr(kind, "tolist") and hasattr(kind, "dtype") and not hasattr(kind, "to_dict"):
        return value.tolist()
    return NO_CONTENT
