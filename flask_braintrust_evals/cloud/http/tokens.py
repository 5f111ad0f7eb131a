"""Users' tokens, in a form that no log and no ``repr`` shows, and their digests."""

from __future__ import annotations

import hashlib
from collections.abc import Callable


class Token:
    """A token. Its ``repr`` and its attributes hide it.

    Crash reporters record the variables of every frame, and some of them the attributes of objects.

    Args:
        text: the token.
    """

    __slots__ = ("_reveal",)

    def __init__(self, text: str) -> None:
        self._reveal: Callable[[], str] = lambda: text

    def reveal(self) -> str:
        """Return the token itself. Use it within an expression, and keep it in no variable."""
        return self._reveal()

    def __repr__(self) -> str:
        return "Token(***)"


def keyed_digest(secret: bytes, *parts: str | Token | None) -> bytes:
    """Return a digest of texts, from which nobody without the secret learns them.

    Args:
        secret: at most 64 bytes.
        parts: the texts.
    """
    digest = hashlib.blake2b(key=secret, digest_size=32)
    for part in parts:
        text = part.reveal() if isinstance(part, Token) else part or ""
        data = text.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.digest()
