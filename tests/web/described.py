"""What `test_attacks` runs: requests that are made up from the server's description of itself."""

from __future__ import annotations

from typing import Any

import schemathesis
from hypothesis import HealthCheck, settings

from .attacked_app import APP, KNOWN

schema = schemathesis.openapi.from_wsgi("/evals/openapi.json", APP)


@schema.parametrize()  # type: ignore[untyped-decorator]
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_description_holds_and_nothing_breaks(case: schemathesis.Case[Any]) -> None:
    response = case.call()
    assert response.status_code in KNOWN, response.text
    case.validate_response(
        response,
        checks=[
            schemathesis.checks.not_a_server_error,
            schemathesis.checks.status_code_conformance,
            schemathesis.checks.content_type_conformance,
            schemathesis.checks.response_schema_conformance,
        ],
    )
