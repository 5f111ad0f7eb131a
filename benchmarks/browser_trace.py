"""Has Chromium trace what its threads do, over the protocol of its debugger."""

from __future__ import annotations

import json
from typing import Any

import requests
import websocket

CATEGORIES = ("toplevel", "devtools.timeline")
TASK = "ThreadControllerImpl::RunTask"
PATIENCE = 60.0
"""Seconds that Chromium may take for an answer."""


class BrowserTrace:
    """A trace of a Chromium, while the block runs.

    Args:
        debugger: host and port of its debugger.
    """

    def __init__(self, debugger: str) -> None:
        about = requests.get(f"http://{debugger}/json/version", timeout=10).json()
        self._socket = websocket.create_connection(
            about["webSocketDebuggerUrl"], timeout=PATIENCE, suppress_origin=True
        )
        self._events: list[dict[str, Any]] = []

    def __enter__(self) -> BrowserTrace:
        self._send("Tracing.start", categories=",".join(CATEGORIES), transferMode="ReportEvents")
        return self

    def __exit__(self, *error: object) -> None:
        self._send("Tracing.end")
        while True:
            message = json.loads(self._socket.recv())
            if message.get("method") == "Tracing.dataCollected":
                self._events += message["params"]["value"]
            elif message.get("method") == "Tracing.tracingComplete":
                break
        self._socket.close()

    def main_thread_tasks(self) -> list[float]:
        """Return the milliseconds of processor time of each task of the page's main thread.

        That of another tab, of which there is none, would be among them.
        """
        main = {
            (each["pid"], each["tid"])
            for each in self._events
            if each["name"] == "thread_name" and each["args"]["name"] == "CrRendererMain"
        }
        return [
            each["tdur"] / 1000
            for each in self._events
            if each["name"] == TASK and "tdur" in each and (each["pid"], each["tid"]) in main
        ]

    def _send(self, method: str, **params: Any) -> None:
        self._socket.send(json.dumps({"id": 1, "method": method, "params": params}))
        while "id" not in json.loads(self._socket.recv()):
            pass  # events, of which none is missed before the first answer
