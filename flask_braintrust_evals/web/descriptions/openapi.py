"""A description of the endpoints (OpenAPI 3.1), for tools; see https://spec.openapis.org/oas/v3.1.1.

OpenAPI cannot describe the events of a stream, so the answer of ``/eval`` is described in words.
"""

from __future__ import annotations

from typing import Any

from flask_braintrust_evals._version import __version__
from flask_braintrust_evals.runs.requests.request import EvalRequest
from flask_braintrust_evals.runs.requests.request_data import OWN, SOURCES

from .listed_prompts import object_schema
from .manifest_schema import MANIFEST_SCHEMA

_STATUSES = {
    "400": "The request is wrong; the text names the field.",
    "401": "There is no token, or it is not valid.",
    "403": "The page, the organisation or the address is not allowed.",
    "404": "There is no such evaluator, dataset, experiment or run.",
    "405": "The path does not have this method.",
    "408": "The body did not arrive in time.",
    "409": "The run was cancelled, or has ended before it could be.",
    "411": "The body has no length, and the server does not tell its end.",
    "413": "The body is too large.",
    "415": "The body is not declared as JSON, or is compressed.",
    "429": "The caller or the organisation has as many runs as its quota allows.",
    "500": "The run failed (if the answer is not a stream).",
    "502": "Braintrust failed.",
    "503": "The process has as many runs as it may have, or is being stopped.",
    "504": "Braintrust did not answer in time.",
}


def openapi(server_url: str) -> dict[str, Any]:
    """Return the description.

    Args:
        server_url: the address of the blueprint, such as ``/evals``.
    """
    manifest = _operation("The evaluators, with parameters, scorers and classifiers")
    manifest["responses"]["200"] = _json("The evaluators by name", MANIFEST_SCHEMA)
    health = {
        "summary": "Find out whether the server is running",
        "security": [],
        "responses": {
            "200": _json(
                "It is running",
                object_schema(
                    "status", status={"const": "ok"}, blocked_event_loops={"type": "integer"}
                ),
            ),
            "503": _json(
                "A coroutine blocks the event loop, so that asynchronous evaluators do not run",
                _object({"status": {"const": "blocked"}, "error": {"type": "string"}}),
            ),
        },
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "flask-braintrust-evals", "version": __version__},
        "servers": [{"url": server_url}],
        "security": [{"token": []}, {"bearer": []}],
        "paths": {
            "/": {"get": health},
            "/ready": {"get": _readiness()},
            "/list": {"get": manifest, "post": manifest},
            "/eval": {"post": _eval()},
            "/runs": {"get": _runs()},
            "/runs/{run_id}": {"delete": _cancellation()},
        },
        "components": {
            "securitySchemes": {
                "token": {"type": "apiKey", "in": "header", "name": "x-bt-auth-token"},
                "bearer": {"type": "http", "scheme": "bearer"},
            },
            "schemas": {
                "Error": {**_object({"error": {"type": "string"}}), "additionalProperties": False},
                **_request_schemas(),
            },
        },
    }


def _operation(summary: str) -> dict[str, Any]:
    error = {"$ref": "#/components/schemas/Error"}
    return {
        "summary": summary,
        "parameters": [
            {"name": name, "in": "header", "required": False, "schema": {"type": "string"}}
            for name in ("x-bt-org-name", "x-bt-project-id")
        ],
        "responses": {status: _json(text, error) for status, text in _STATUSES.items()},
    }


def _readiness() -> dict[str, Any]:
    def answer(text: str, status: str, **more: Any) -> dict[str, Any]:
        return _json(text, _object({"status": {"const": status}, **more}))

    reasons = {"type": "array", "items": {"type": "string"}}
    return {
        "summary": "Find out whether this process can serve runs now",
        "security": [],
        "responses": {
            "200": answer("It can", "ready"),
            "503": answer("It cannot now, for these reasons", "not ready", reasons=reasons),
        },
    }


def _runs() -> dict[str, Any]:
    operation = _operation("The caller's runs that are under way")
    text, number = {"type": ["string", "null"]}, {"type": "integer"}
    run = {
        "id": {"type": "string"},
        "evaluator": {"type": "string"},
        "organization": text,
        "project": text,
        "experiment": text,
        "state": {"enum": ["running", "ending"]},
        "started": {"type": "string", "format": "date-time"},
        "duration": {"type": "number"},
        "cases": number,
        "failed_cases": number,
        "total_cases": {"type": ["integer", "null"]},
    }
    runs = {"type": "array", "items": _object(run)}
    answer = _object({"runs": runs, "omitted": number, "silent_processes": number})
    operation["responses"]["200"] = _json("The runs, the oldest first", answer)
    return operation


def _cancellation() -> dict[str, Any]:
    operation = _operation("Cancel one of the caller's runs")
    operation["parameters"].append(
        {"name": "run_id", "in": "path", "required": True, "schema": {"type": "string"}}
    )
    answer = _object({"id": {"type": "string"}, "state": {"const": "cancelled"}})
    operation["responses"]["200"] = _json("The run is cancelled", answer)
    return operation


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return object_schema(*properties, **properties)


def _eval() -> dict[str, Any]:
    operation = _operation("Run an evaluator")
    schema = {"$ref": "#/components/schemas/EvalRequest"}
    operation["requestBody"] = {
        "required": True,
        "content": {"application/json": {"schema": schema}},
    }
    operation["responses"]["200"] = {
        "description": "A stream of start, progress, summary, error and done events, with"
        " case_results also of case_start and case_result; or the summary, if the body has stream:"
        " false, or has none and the header Accept names JSON and no event stream",
        "content": {
            "text/event-stream": {"schema": {"type": "string"}},
            "application/json": {"schema": {"type": "object"}},
        },
    }
    return operation


def _request_schemas() -> dict[str, Any]:
    schema = EvalRequest.model_json_schema(ref_template="#/components/schemas/{model}")
    definitions = schema.pop("$defs", {})
    schema["properties"]["data"] = _data_schema()
    schema["required"] = [*schema.get("required", ()), "data"]
    return {"EvalRequest": schema, **definitions}


def _data_schema() -> dict[str, Any]:
    cases = {"type": "array", "items": _object({"input": {}})}
    by_source: dict[str, Any] = {"data": cases, OWN: {"const": True}}
    return {
        "oneOf": [
            cases,
            *(
                _object({source: by_source.get(source, {"type": "string"})})
                for source in (*SOURCES, OWN)
            ),
        ]
    }


def _json(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}
