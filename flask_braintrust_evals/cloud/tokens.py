"""Users' tokens, in a form that shows them to nobody by accident."""

from __future__ import annotations


class Token:
    """A token. Its ``repr`` hides it: crash reporters record the variables of every frame.

    Args:
        text: the token.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the token itself. Use it within an expression, and keep it in no variable."""
        return self._text

    def __repr__(self) -> str:
        return "Token(***)"
