"""Identifies a caller in all of its requests, in a form that does not reveal its token."""

from __future__ import annotations

from dataclasses import dataclass, field

from flask_braintrust_evals.cloud.http.tokens import Token, keyed_digest


@dataclass(frozen=True)
class CallerIdentity:
    """A caller, whichever organisation its requests name.

    Attributes:
        parts: what tells the caller from others; empty: the server does not know its callers apart.
    """

    parts: tuple[str | Token, ...] = field(default=(), repr=False)

    def digest(self, secret: bytes) -> bytes | None:
        """Return a digest, made with a secret; ``None``: the server does not know its callers."""
        return keyed_digest(secret, *self.parts) if self.parts else None
