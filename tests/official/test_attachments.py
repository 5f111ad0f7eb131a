"""Attachments in the rows of a dataset, and in a request.

From https://www.braintrust.dev/docs/evaluate/attachments and the Python SDK: a reference in a row
of a dataset becomes a ``ReadonlyAttachment``, which fetches the contents when they are read.
"""

from __future__ import annotations

import pytest

from tests.standin import StandIn

from .outcome import Pair

pytestmark = pytest.mark.official

IMAGE = {
    "type": "braintrust_attachment",
    "filename": "cat.png",
    "content_type": "image/png",
    "key": "00000000-0000-0000-0000-000000000007",
}


def test_an_attachment_of_a_row_is_an_object_of_the_sdk_alike(pair: Pair, cloud: StandIn) -> None:
    dataset = cloud.add_dataset("acme", "of its own", "images", [{"input": {"image": IMAGE}}])
    official, ours = pair.run("attachments", {"dataset_id": dataset})
    assert official.outputs == ours.outputs == ["ReadonlyAttachment"]


def test_an_attachment_of_a_request_is_its_reference_alike(pair: Pair) -> None:
    official, ours = pair.run("attachments", [{"input": {"image": IMAGE}}])
    assert official.outputs == ours.outputs == ["dict"]
