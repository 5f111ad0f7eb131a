"""Attachments that are stored in Braintrust, as rows and requests refer to them.

From the specification (``features/attachments.md``) and the Python SDK, whose tests say that a
reference is an object with one of two types, and is passed on without its contents.
"""

from __future__ import annotations

from typing import Any

import pytest
from braintrust.logger import ReadonlyAttachment

from flask_braintrust_evals import Evaluator
from tests.standin import StandIn
from tests.web.support import api_of, echo, last_json

STORED = {
    "type": "braintrust_attachment",
    "filename": "cat.png",
    "content_type": "image/png",
    "key": "00000000-0000-0000-0000-000000000007",
}
ELSEWHERE = {
    "type": "external_attachment",
    "filename": "dog.png",
    "content_type": "image/png",
    "url": "s3://pictures/dog.png",
}


@pytest.mark.parametrize("reference", [STORED, ELSEWHERE], ids=["stored", "elsewhere"])
@pytest.mark.parametrize("source", ["request", "dataset", "experiment"])
def test_a_reference_reaches_events_spans_and_hosted_scorers_as_it_is_and_rows_give_objects(
    cloud: StandIn, reference: dict[str, str], source: str
) -> None:
    case = {
        "input": {"image": reference, "list": [reference]},
        "expected": reference,
        "metadata": {"of": reference},
    }
    data: Any = [case]
    if source == "dataset":
        data = {"dataset_id": cloud.add_dataset("acme", "p", "d", [case])}
    elif source == "experiment":
        cloud.add_experiment("acme", "p", "e", [case])
        data = {"experiment_name": "e"}
    seen: list[Any] = []

    def judge(input: Any, output: Any, expected: Any, metadata: Any) -> bool:
        seen.append({"input": input, "output": output, "expected": expected, "metadata": metadata})
        return True

    def far(input: Any) -> int:
        seen.append({key: input[key] for key in ("input", "output", "expected", "metadata")})
        return 1

    scores = [{"name": "far", "function_id": {"function_id": cloud.add_function(far)}}]
    api = api_of(cloud, Evaluator("e", echo, scores=[judge], project="p"))
    events = api.events(name="e", data=data, scores=scores)
    mine, hosted = seen
    assert hosted == {**case, "output": case["input"]}
    if source != "request":  # as in the SDK, which reads rows into objects
        objects = [mine["input"]["image"], mine["input"]["list"][0], mine["expected"]]
        assert all(isinstance(each, ReadonlyAttachment) for each in objects)
        assert [dict(each.reference) for each in objects] == [reference] * 3
    else:
        assert mine == hosted
    assert set(last_json(events, "summary")["scores"]) == {"judge", "far"}
    (output,) = [each.json["data"] for each in events if '"json_delta"' in each.data]
    assert '"type":"' + reference["type"] in output.replace('": "', '":"')
    (span,) = cloud.spans_named("eval")
    assert span.json("braintrust.input_json") == case["input"]
    assert span.json("braintrust.output_json") == case["input"]
    assert span.json("braintrust.expected_json") == reference
    assert span.json("braintrust.metadata") == {"of": reference}
