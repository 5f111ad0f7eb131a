"""A dict whose items are also attributes."""

from __future__ import annotations

from typing import Any


class AttributeDict(dict[str, Any]):
    """A ``dict`` whose items can also be read as attributes.

    It can be used wherever code of users expects a ``dict``. An item with the name of one of the
    methods of ``dict``, such as ``"items"``, can only be read as an item.
    """

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"there is no {name!r}; there are: {', '.join(self)}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"set the item [{name!r}] instead: attributes can only be read")
