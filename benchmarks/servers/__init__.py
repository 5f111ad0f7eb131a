"""The servers that are compared, each in processes of its own."""

from __future__ import annotations

from .base import Server, ServerError
from .official_javascript import OfficialJavaScript
from .official_python import OfficialPython
from .ours import Ours

__all__ = ["OfficialJavaScript", "OfficialPython", "Ours", "Server", "ServerError"]
