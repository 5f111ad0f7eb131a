"""The servers that are compared. Each runs in its own processes."""

from __future__ import annotations

from .base import Server, ServerError
from .official_javascript import OfficialJavaScript
from .official_python import OfficialPython
from .this_project import ThisProject

__all__ = ["OfficialJavaScript", "OfficialPython", "Server", "ServerError", "ThisProject"]
