"""A queue of items that belong to owners, which take turns."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class OwnerQueue(Generic[T]):
    """Hands out items, those of one owner in their order. Its caller holds a lock while it calls.

    Owners take turns, so that the first item of one does not wait for all those of another.
    """

    def __init__(self) -> None:
        self._items: dict[object, deque[T]] = {}  # the owner whose turn is next is first

    def put(self, owner: object, item: T) -> None:
        """Add an item."""
        self._items.setdefault(owner, deque()).append(item)

    def remove(self, owner: object, item: T) -> None:
        """Remove an item that is there."""
        items = self._items[owner]
        items.remove(item)
        if not items:
            del self._items[owner]

    def take(self) -> T | None:
        """Remove the next item and return it; ``None``: there is none."""
        if not self._items:
            return None
        owner = next(iter(self._items))
        items = self._items.pop(owner)
        item = items.popleft()
        if items:
            self._items[owner] = items  # behind all others
        return item
