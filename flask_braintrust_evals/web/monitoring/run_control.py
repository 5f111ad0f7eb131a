"""Lists and cancels the runs that are under way, for callers, in all processes of the server.

A caller sees and cancels its own runs, and nobody else's. A server without authentication does not
know its callers apart, and serves this machine only: there, everybody sees all runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flask_braintrust_evals.config.settings import Settings
from flask_braintrust_evals.errors import (
    AccessDeniedError,
    NotFoundError,
    RunEndedError,
    SilentProcessesError,
)
from flask_braintrust_evals.runs.peers.run_peers import CALLER, Answers, Application, Peer, RunPeers
from flask_braintrust_evals.runs.peers.run_table import RunTable, bounded
from flask_braintrust_evals.runs.prepared import PreparedRun
from flask_braintrust_evals.runs.probe import PROBE
from flask_braintrust_evals.texts.excerpts import excerpt
from flask_braintrust_evals.web.access.caller_identity import CallerIdentity


class RunControl:
    """The runs of one application.

    Args:
        application: the application, by which processes recognise each other.
        settings: its settings.
    """

    def __init__(self, application: Application, settings: Settings) -> None:
        self._table = RunTable()
        self._peers = RunPeers(application, self._table)
        self._is_for_all = settings.auth == "none"

    def add(
        self, prepared: PreparedRun, caller: CallerIdentity, environ: Mapping[str, Any]
    ) -> Callable[[], None] | None:
        """Add a run that begins in this process, and return the function that takes it away.

        Args:
            prepared: the run.
            caller: who has started it.
            environ: the environment of the request.

        Returns:
            the function; ``None``: the run is one of ``flask evals check``, which are not listed.
        """
        if prepared.evaluator == PROBE.name:
            return None
        # Others ask where there are others: with several processes, and during a reload.
        if environ.get("wsgi.multiprocess") or "gunicorn.socket" in environ:
            self._peers.join()
        return self._table.add(prepared, caller.digest(self._table.secret))

    def listing(self, caller: CallerIdentity) -> dict[str, Any]:
        """Return the runs of a caller, as the answer of ``GET /runs``.

        Raises:
            AccessDeniedError: the server does not know its callers apart.
        """
        self._check_known(caller)
        own = self._table.listing(self._digest(caller, self._table.secret))
        answers = self._ask(caller, {"do": "list"})
        runs, omitted = [*own["runs"]], own["omitted"]
        for _, answer in answers.given:
            runs += answer["runs"]
            omitted += answer["omitted"]
        return {**bounded(runs, omitted), "silent_processes": answers.silent}

    def cancel(self, id: str, caller: CallerIdentity) -> dict[str, Any]:
        """Cancel a run of a caller, and return the answer of ``DELETE /runs/<id>``.

        Raises:
            AccessDeniedError: the server does not know its callers apart.
            NotFoundError: the caller has no such run.
            RunEndedError: it has ended, and its spans are being delivered.
            SilentProcessesError: it may be in a process that does not answer.
        """
        self._check_known(caller)
        state: str = self._table.cancel(id, self._digest(caller, self._table.secret), CALLER)
        silent = 0
        if state == "unknown":
            answers = self._ask(caller, {"do": "cancel", "id": id[:64]})
            states = {str(answer["state"]) for _, answer in answers.given}
            state = next(iter(states - {"unknown"}), "unknown")
            silent = answers.silent
        if state == "ended":
            raise RunEndedError(f"the run {id} has ended already; its spans are being delivered")
        if state == "unknown" and silent:
            raise SilentProcessesError(
                f"no process that answers has a run {excerpt(id)}, and {silent} did not answer; try"
                " again soon"
            )
        if state == "unknown":
            raise NotFoundError(
                f"no run of yours that is under way has the id {excerpt(id)}; GET /runs lists them"
            )
        return {"id": id, "state": "cancelled"}

    def _check_known(self, caller: CallerIdentity) -> None:
        if not (caller.parts or self._is_for_all):
            raise AccessDeniedError(
                "this server does not know its callers apart, and so cannot tell which runs are"
                " yours: have the function in BRAINTRUST_EVALS_AUTH return"
                " Session(caller=...), or ask with 'flask evals ps' on its machine"
            )

    def _digest(self, caller: CallerIdentity, secret: bytes) -> bytes | None:
        return None if self._is_for_all else caller.digest(secret)

    def _ask(self, caller: CallerIdentity, request: Mapping[str, Any]) -> Answers:
        def request_of(peer: Peer) -> Mapping[str, Any]:
            digest = self._digest(caller, peer.secret)
            return {**request, "caller": None if digest is None else digest.hex()}

        return self._peers.ask(request_of)
