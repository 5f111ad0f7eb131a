"""Calls functions that are saved in Braintrust, such as scorers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .http.answers import MAX_ANSWER, MAX_VALUES
from .sessions.user_session import UserSession


def invoke(
    session: UserSession,
    function_id: Mapping[str, Any],
    input: Mapping[str, Any],
    *,
    parent: Mapping[str, Any] | str | None,
    project_id: str | None,
    strict: bool = True,
    limit: int = MAX_ANSWER,
    max_values: int = MAX_VALUES,
) -> Any:
    """Have Braintrust run a function, and return its result.

    Args:
        session: the caller's.
        function_id: any form that Braintrust accepts; passed on unchanged.
        input: the function's input.
        parent: the object or span that the function's own spans belong to.
        project_id: the project whose settings apply.
        strict: whether an input that lacks a variable of the function's prompt is an error.
        limit: maximum bytes of the result.
        max_values: maximum number of JSON values of the result.

    Raises:
        CloudError: Braintrust could not be reached or refused the call, the function failed, or its
            result is too large.
    """
    body: dict[str, Any] = {
        **function_id,
        "input": input,
        "stream": False,
        "mode": "auto",
        "strict": strict,
    }
    if parent is not None:
        body["parent"] = parent
    headers = {} if project_id is None else {"x-bt-project-id": project_id}
    return session.proxy(
        "POST",
        "/function/invoke",
        json=body,
        headers=headers,
        repeatable=False,
        limit=limit,
        max_values=max_values,
    )
