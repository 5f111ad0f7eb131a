"""Lists and cancels runs of a server, for ``flask evals ps`` and ``flask evals cancel``.

By the address of a server, they are those of the holder of a token. Without one, they are those of
all servers of this user on this machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import requests

from flask_braintrust_evals.errors import EvalsError
from flask_braintrust_evals.runs.peers.run_peers import ask_everybody
from flask_braintrust_evals.runs.peers.socket_folder import folder_path

from .finding import Answer, cause_of, new_session


@dataclass(frozen=True)
class RunList:
    """The runs of a server, or of all servers of this user on this machine.

    Attributes:
        runs: the runs, as values of JSON.
        omitted: how many more there are.
        silent_processes: how many processes have not answered, whose runs are not among them.
    """

    runs: Sequence[Mapping[str, Any]]
    omitted: int
    silent_processes: int


class RunsOfServer:
    """The runs of the holder of a token. Each method raises ``EvalsError`` if it cannot do it.

    Args:
        url: the address of the blueprint.
        headers: the credentials.
        timeout: seconds that an answer may take.
    """

    def __init__(self, url: str, headers: Mapping[str, str | bytes], timeout: float) -> None:
        self._url = url.rstrip("/")
        self._headers = headers
        self._timeout = timeout

    def listing(self) -> RunList:
        """Return those that are under way."""
        value = self._request("GET", "/runs")
        try:
            runs = [{**each} for each in value["runs"]]
            return RunList(runs, int(value["omitted"]), int(value["silent_processes"]))
        except (KeyError, TypeError, ValueError):
            raise EvalsError(f"{self._url}/runs does not answer with runs") from None

    def cancel(self, id: str) -> None:
        """Cancel one of them."""
        self._request("DELETE", f"/runs/{id}")

    def _request(self, method: str, path: str) -> Any:
        url = self._url + path
        try:
            with (
                new_session() as session,
                session.request(
                    method,
                    url,
                    headers=dict(self._headers),
                    timeout=self._timeout,
                    allow_redirects=False,
                    stream=True,
                ) as response,
            ):
                answer = Answer.read(response, self._timeout)
        except requests.RequestException as error:
            raise EvalsError(f"no answer: {cause_of(error)}") from None
        if answer.status != 200 or not isinstance(answer.json, dict):
            key = "set BRAINTRUST_API_KEY; " if answer.status == 401 and not self._headers else ""
            raise EvalsError(
                f"{key}{method} {url} answers with status {answer.status}: {answer.error}"
            )
        return answer.json


class RunsOfMachine:
    """The runs of all servers that this user runs on this machine, with the same methods."""

    def listing(self) -> RunList:
        answers = ask_everybody({"do": "list"})
        runs, omitted = [], 0
        for peer, answer in answers.given:
            about = {"application": peer.application, "process": peer.process}
            runs += [{**each, **about} for each in answer["runs"]]
            omitted += answer["omitted"]
        return RunList(sorted(runs, key=_started), omitted, answers.silent)

    def cancel(self, id: str) -> None:
        answers = ask_everybody({"do": "cancel", "id": id})
        states = {answer["state"] for _, answer in answers.given}
        if "cancelled" in states:
            return
        if "ended" in states:
            raise EvalsError(f"the run {id} has ended already; its spans are being delivered")
        silent = f"; {silent_text(answers.silent)}" if answers.silent else ""
        raise EvalsError(
            f"no run with the id {id!r} is under way in the servers that this user runs on this"
            f" machine ({folder_path()}){silent}"
        )


def silent_text(count: int) -> str:
    """Return in words that processes have not answered."""
    processes = "1 process" if count == 1 else f"{count} processes"
    return f"{processes} did not answer, and may have other runs"


def _started(run: Mapping[str, Any]) -> str:
    return str(run.get("started"))
