"""The blueprint's views: each parses, asks for what it needs, and answers."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial

from flask import Request, Response, current_app, request

from flask_braintrust_evals.concurrency.loops.loop_health import loop_health
from flask_braintrust_evals.concurrency.native_threads import blocking_calls_hang
from flask_braintrust_evals.concurrency.turns import Turn, wait_for_turn
from flask_braintrust_evals.config.settings import OPEN_HEADER, Settings
from flask_braintrust_evals.engine.registry import Registry
from flask_braintrust_evals.errors import RunError, ServerStoppingError
from flask_braintrust_evals.extension.state import (
    UNANSWERED,
    EvalsExtension,
    current_extension,
    current_request,
)
from flask_braintrust_evals.runs.host import Requester
from flask_braintrust_evals.runs.prepare import prepare
from flask_braintrust_evals.runs.probe import PROBE, check_probe
from flask_braintrust_evals.runs.requests.request import EvalRequest
from flask_braintrust_evals.web.access.admission import Caller, admit
from flask_braintrust_evals.web.answers.eval_answer import EvalRun
from flask_braintrust_evals.web.answers.responses import json_response
from flask_braintrust_evals.web.answers.sending import Sending
from flask_braintrust_evals.web.answers.stopping import GracePeriod
from flask_braintrust_evals.web.answers.stream_response import StreamResponse
from flask_braintrust_evals.web.answers.wire import CaseDetails, as_stream
from flask_braintrust_evals.web.descriptions.manifest import detailed_manifest, manifest
from flask_braintrust_evals.web.descriptions.openapi import openapi
from flask_braintrust_evals.web.monitoring.run_record import RunRecord
from flask_braintrust_evals.web.page import local_page as page
from flask_braintrust_evals.web.requests.body import read_json
from flask_braintrust_evals.web.requests.connections import client_has_left
from flask_braintrust_evals.web.requests.header_lists import forget_long_lists


class Views:
    """The views of one blueprint.

    Args:
        registry: its evaluators.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def index(self) -> Response:
        """Say that the server is there; for health checks."""
        health = loop_health()
        if health.blocked_for:
            text = (
                f"the event loop of this process has been blocked for {health.blocked_for:.0f} s by"
                " a coroutine; see the server's log"
            )
            return json_response({"status": "blocked", "error": text}, 503)
        given_up = {"blocked_event_loops": health.given_up} if health.given_up else {}
        return json_response({"status": "ok", **given_up})

    def ready(self) -> Response:
        """Say whether this process can serve runs now; for load balancers."""
        state = current_extension()
        reasons = []
        if loop_health().blocked_for:
            reasons.append("the event loop is blocked by a coroutine")
        if blocking_calls_hang():
            reasons.append("calls of blocking evaluators do not end, and keep all of their threads")
        if state.workers is not None and state.workers.celery_app is None:
            reasons.append("the application has no Celery application")
        elif state.workers is not None and state.workers.has_lost_broker:
            reasons.append("the broker that leads to workers does not answer")
        if state.runtime.run_slots.runs.is_full:
            reasons.append("as many runs are under way as may be")
        if GracePeriod.of_request(state.settings.heartbeat).end_is_unknown:
            reasons.append("the server is being stopped or reloaded")
        if reasons:
            return json_response({"status": "not ready", "reasons": reasons}, 503)
        return json_response({"status": "ready"})

    def list_evaluators(self) -> Response:
        """List the evaluators with their parameters and scores."""
        _admit().release()
        detailed = request.args.get("details") == "true"
        response = json_response((detailed_manifest if detailed else manifest)(self._registry))
        if detailed:
            path = request.script_root + "/" + request.path.strip("/").removesuffix("/list")
            response.headers[page.APPLICATION_HEADER] = page.application_id(current_app, path)
        if current_extension().settings.is_open_by_default:
            response.headers[OPEN_HEADER] = "every organization"
        return response

    def evaluate(self) -> Response:
        """Run an evaluator; answer with its events, or with its summary."""
        wait_for_turn(Turn.BEGIN)
        state = current_extension()
        with ExitStack() as held:
            caller = _admit()
            held.callback(caller.release)
            settings, slots = state.settings, state.runtime.run_slots
            slots.runs.check(caller.owner)  # before a large body is received for nothing
            with slots.bodies.taken_by(caller.owner):
                limits = settings.max_body, settings.max_values, settings.body_timeout
                body = EvalRequest.of(read_json(current_request(), *limits))
            held.callback(slots.of(body.name).take(caller.owner))
            stream = _wants_stream(body)
            run = self._prepare(body, caller, state)
            # From here on the run holds them, for as long as it has workers.
            run.when_closed(run.prepared.after_uploads(held.pop_all().close))
        try:
            environ = request.environ
            remove = state.runtime.runs.add(run.prepared, caller.identity, environ)
            if remove is not None:
                run.when_closed(remove)
            environ[UNANSWERED] = run
            return _answer_run(run, stream)
        except BaseException:  # the system may have no more threads
            run.close()
            raise

    def _prepare(self, body: EvalRequest, caller: Caller, state: EvalsExtension) -> EvalRun:
        evaluator = PROBE if body.name == PROBE.name else self._registry.get(body.name)
        spec = body.spec()
        if evaluator is PROBE:
            check_probe(spec)
        heartbeat = state.settings.heartbeat
        details = _case_details(body, state.settings)
        grace = GracePeriod.of_request(heartbeat)
        if grace.end_is_unknown:
            raise ServerStoppingError(
                "the server is being stopped or reloaded, and this process begins no more runs; run"
                " it again"
            )
        requester = Requester(
            caller.session,
            caller.project_id,
            recorded=evaluator is not PROBE,
            end_reason=partial(_end_reason, request, grace),
            wants_outputs=False,
            wants_spans=details is not None,
        )
        prepared = prepare(evaluator, spec, requester, state.runtime.host(current_app), heartbeat)
        return EvalRun(
            prepared,
            RunRecord(
                evaluator.name,
                prepared.org_name,
                caller.owner.name,
                evaluator.plan.names_of_failures,
            ),
            grace,
            heartbeat,
            case_results=body.case_results is True,
            case_details=details,
            observer=state.runtime.observer,
        )

    def list_runs(self) -> Response:
        """List the caller's runs that are under way."""
        caller = _admit()
        caller.release()
        return json_response(current_extension().runtime.runs.listing(caller.identity))

    def cancel_run(self, run_id: str) -> Response:
        """Cancel one of the caller's runs."""
        caller = _admit()
        caller.release()
        return json_response(current_extension().runtime.runs.cancel(run_id, caller.identity))

    def openapi(self) -> Response:
        """Describe the endpoints."""
        prefix = request.path.removesuffix("/openapi.json")
        return json_response(openapi(request.script_root + prefix or "/"))

    def playground(self) -> Response:
        """Serve the local page."""
        return page.respond(page.INDEX, request)

    def playground_file(self, file: str) -> Response:
        """Serve a file of the local page."""
        return page.respond(file, request)


def _admit() -> Caller:
    state = current_extension()
    return admit(current_request(), state.settings, state.runtime.sessions)


def _end_reason(request: Request, grace: GracePeriod) -> RunError | None:
    """Return why nobody waits for a run that has not begun; ``None``: somebody does."""
    if client_has_left(request):
        return RunError("the client disconnected before the data was made")
    remaining = grace.remaining()
    return None if remaining is None or remaining > 0 else grace.reason()


def _case_details(body: EvalRequest, settings: Settings) -> CaseDetails | None:
    """Return what the client gets of each case beside its results: something for the page only."""
    asked = body.case_results is True and body.case_spans is True
    return CaseDetails(settings.stack_traces) if asked and settings.playground else None


def _wants_stream(body: EvalRequest) -> bool:
    if body.stream is not None:
        return body.stream
    forget_long_lists(request, "Accept")
    accepted = {
        kind.partition(";")[0].strip().lower()
        for kind, quality in request.accept_mimetypes
        if quality > 0
    }
    return "application/json" not in accepted or "text/event-stream" in accepted


def _answer_run(run: EvalRun, stream: bool) -> Response:
    if not stream:
        response = json_response(run.result(lambda: client_has_left(request)))
        run.close()
        return response
    sending = Sending(request.environ, current_extension().settings.send_timeout)
    chunks = (chunk for messages in run.messages() for chunk in as_stream(messages))
    response = StreamResponse(sending, chunks, run.close)
    run.watch(sending)
    return response
