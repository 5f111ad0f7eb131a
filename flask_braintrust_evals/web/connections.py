"""Where servers tell the client's connection."""

from __future__ import annotations

CONNECTION_KEYS = ("gunicorn.socket", "werkzeug.socket")
"""Keys of the WSGI environment under which it may be."""
