"""Functions saved in Braintrust, such as scorers, run there for the caller."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .sessions import UserSession


def invoke(
    session: UserSession,
    function_id: Mapping[str, Any],
    input: Mapping[str, Any],
    *,
    parent: Mapping[str, Any] | str | None,
    project_id: str | None,
    strict: bool = True,
) -> Any:
    """Run a function and return what it returns.

    Args:
        session: as whom.
        function_id: any of the forms that Braintrust knows; passed on untouched.
        input: the function's input.
        parent: the object or span that the function's own spans belong to.
        project_id: the project whose settings apply.
        strict: refuse an input that lacks a variable of the function's prompt.

    Raises:
        CloudError: Braintrust refuses, fails, or the function itself fails.
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
    return session.proxy("POST", "/function/invoke", json=body, headers=headers, repeatable=False)
