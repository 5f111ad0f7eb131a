"""Writes and reads the messages between owners and workers: signed JSON, compressed if large."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import functools
import hashlib
import hmac
import zlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from flask_braintrust_evals.errors import EvalsError
from flask_braintrust_evals.serialization.json_reading import loads
from flask_braintrust_evals.serialization.json_writing import dumps, dumps_parts

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

VERSION = 1
"""The version of the messages. Processes with another version refuse each other's messages."""
COMPRESS_FROM = 10_000
"""Characters from which on a message is compressed."""
_COMPRESSED = "z"
_PLAIN = "j"
MAX_RATIO = 100
"""How much larger than a message may be what it is unpacked to."""

Kind = Literal["order", "report", "notice"]


class Message(NamedTuple):
    """A message as it travels: two texts.

    Attributes:
        text: the content as JSON, or compressed and in base64.
        signature: 64 hex digits.
    """

    text: str
    signature: str


class MessageError(EvalsError):
    """A message cannot be read: it is not signed with the key of the application, or is no JSON."""


class SignatureError(MessageError):
    """A message is signed with another key: another process may be able to read it."""


class MessageTooLargeError(EvalsError):
    """A message is larger than the broker may be given."""


class MessageWriter:
    """Signs messages, and reads those that are signed with the same key, or an older one.

    Args:
        secret: the secret that all processes of the application share: Flask's ``SECRET_KEY``.
        max_bytes: bytes that a message may have, after compression.
        old_secrets: secrets that other processes may still have: ``SECRET_KEY_FALLBACKS``.

    Attributes:
        max_bytes: see above.
    """

    def __init__(
        self, secret: str | bytes, max_bytes: int, old_secrets: Sequence[str | bytes] = ()
    ) -> None:
        self._key = _key(secret)
        self._keys = [self._key, *map(_key, old_secrets)]
        self.max_bytes = max_bytes

    def write(self, kind: Kind, content: Any) -> Message:
        """Return a value as a message.

        Reports have what user code has made. A part of one that has no JSON form is replaced by a
        text that says so, as it is where it is recorded.

        Raises:
            SerializationError: the value has no JSON form.
            MessageTooLargeError: the message would be too large.
        """
        text = dumps_parts(content) if kind == "report" else dumps(content)
        if len(text) < COMPRESS_FROM:
            text = _PLAIN + text
        else:
            if len(text) > self.max_bytes * MAX_RATIO:
                raise MessageTooLargeError(self._limit(len(text)))
            # Level 1: most of what larger levels save is not worth their time.
            packed = zlib.compress(text.encode(), 1)
            text = _COMPRESSED + base64.b64encode(packed).decode()
        if len(text) > self.max_bytes:
            raise MessageTooLargeError(self._limit(len(text)))
        return Message(text, _signature(self._key, kind, text))

    def read(self, kind: Kind, message: Any) -> Any:
        """Return the content of a message.

        Args:
            kind: what it must be: a signature of another kind is not accepted.
            message: what was received.

        Raises:
            MessageError: it cannot be read, and nothing of it may be used.
        """
        if not (
            isinstance(message, list | tuple)
            and len(message) == 2
            and all(isinstance(part, str) for part in message)
        ):
            raise MessageError("a message must have a text and a signature")
        text, signature = message
        given = signature.encode("utf-8", "replace")
        if not any(
            hmac.compare_digest(given, _signature(key, kind, text).encode()) for key in self._keys
        ):
            raise SignatureError(
                "the signature is not that of this application: all of its processes need the same"
                " SECRET_KEY, or the others' in SECRET_KEY_FALLBACKS"
            )
        try:
            content = text[1:]
            if text[:1] == _COMPRESSED:
                content = _unpacked(content, self.max_bytes * MAX_RATIO * 4).decode()
            elif text[:1] != _PLAIN:
                raise ValueError("another form")
            return loads(content)
        except (ValueError, RecursionError, zlib.error, binascii.Error) as error:
            raise MessageError(f"the message cannot be read: {type(error).__name__}") from None

    def _limit(self, size: int) -> str:
        return (
            f"the message of {size:,} bytes is larger than the broker may be given:"
            f" {self.max_bytes:,} bytes (BRAINTRUST_EVALS_MAX_MESSAGE)"
        )


def known_fields(kind: type[DataclassInstance], fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the fields that a class has. Another version of it may have more."""
    names = _field_names(kind)
    if fields.keys() <= names:
        return dict(fields)
    return {name: value for name, value in fields.items() if name in names}


@functools.cache
def _field_names(kind: type[DataclassInstance]) -> frozenset[str]:
    return frozenset(each.name for each in dataclasses.fields(kind))


def _key(secret: str | bytes) -> bytes:
    given = secret.encode() if isinstance(secret, str) else secret
    # Derived, so that a signature here is of no use where the secret itself signs.
    return hmac.digest(given, b"flask-braintrust-evals messages", "sha256")


def _signature(key: bytes, kind: Kind, text: str) -> str:
    signed = f"{kind}:{text}".encode("utf-8", "surrogatepass")
    return hmac.new(key, signed, hashlib.sha256).hexdigest()


def _unpacked(text: str, limit: int) -> bytes:
    unpacker = zlib.decompressobj()
    content = unpacker.decompress(base64.b64decode(text, validate=True), limit)
    if unpacker.unconsumed_tail:
        raise ValueError("too large")
    return content
