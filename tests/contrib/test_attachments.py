"""Attachments of the ``braintrust`` SDK in the rows of datasets, and in outputs."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

import braintrust
import pytest
from braintrust.logger import ReadonlyAttachment

from flask_braintrust_evals import Evaluator
from flask_braintrust_evals.contrib import braintrust_attachments
from flask_braintrust_evals.contrib.braintrust.attachments import with_attachments
from flask_braintrust_evals.serialization import plain_values

from .support import echo

REFERENCE: Any = {
    "type": "braintrust_attachment",
    "filename": "a.png",
    "content_type": "image/png",
    "key": "key-1",
}


class Loader:
    def __init__(self) -> None:
        self.loaded: list[Any] = []

    def metadata(self, reference: Mapping[str, Any]) -> dict[str, Any]:
        return {"downloadUrl": "u", "status": {"upload_status": "done"}}

    def load(self, reference: Mapping[str, Any]) -> bytes:
        self.loaded.append(reference)
        return b"\x89PNG"


@pytest.fixture(autouse=True)
def no_login(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **options: Any) -> None:
        raise AssertionError("the application's login must not be used")

    monkeypatch.setattr(braintrust.logger, "login", refuse)


def test_references_at_any_depth_become_attachments_of_the_sdk() -> None:
    loader = Loader()
    row = {"input": REFERENCE, "metadata": {"images": [REFERENCE, {"type": "other"}]}, "id": "r"}
    before = copy.deepcopy(row)
    converted = with_attachments(row, loader)
    for image in (converted["input"], converted["metadata"]["images"][0]):
        assert isinstance(image, ReadonlyAttachment)
        assert image.reference == REFERENCE
    assert converted["metadata"]["images"][1] == {"type": "other"}
    assert (converted["id"], row) == ("r", before)
    assert loader.loaded == []
    assert [converted["input"].data, converted["input"].data] == [b"\x89PNG"] * 2
    assert loader.loaded == [REFERENCE]
    assert converted["input"].status() == {"upload_status": "done"}
    assert str(converted["input"]) == "data:image/png;base64,iVBORw=="
    assert copy.deepcopy(converted)["input"].reference == REFERENCE


def test_an_attachment_of_a_row_is_written_as_its_reference() -> None:
    loader = Loader()
    case = with_attachments({"input": REFERENCE, "metadata": {"image": REFERENCE}}, loader)
    (result,) = Evaluator("e", echo).run([case]).results
    assert json.loads(result.output_json or "") == REFERENCE
    assert loader.loaded == []


@pytest.mark.parametrize(
    "row", [{"input": REFERENCE}, {"input": [{"image": REFERENCE}]}], ids=["bare", "nested"]
)
def test_rows_with_attachments_are_converted_where_the_sdk_is_installed(row: Any) -> None:
    convert, loader = braintrust_attachments(), Loader()
    assert convert is not None
    assert type(convert(row, loader)["input"]) is type(with_attachments(row, loader)["input"])
    assert convert(row, loader) != row


def test_rows_without_attachments_stay_as_they_are() -> None:
    row = {"input": {"type": "text", "filename": "a.png"}, "metadata": [1, None]}
    convert = braintrust_attachments()
    assert convert is not None
    assert convert(row, Loader()) is row


@pytest.mark.parametrize("around", [lambda x: x, lambda x: {"a": [x]}], ids=["bare", "nested"])
def test_attachments_in_outputs_need_no_application(
    around: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plain_values, "_converters", {})  # as in a new process
    image = braintrust.Attachment(data=b"\x89PNG", filename="a.png", content_type="image/png")
    expected = [
        (ReadonlyAttachment(REFERENCE), REFERENCE),
        (image, "data:image/png;base64,iVBORw=="),
    ]
    evaluator = Evaluator("e", lambda input: around(expected[input][0]))
    for index, result in enumerate(evaluator.run([{"input": 0}, {"input": 1}]).results):
        assert json.loads(result.output_json or "") == around(expected[index][1])


@pytest.mark.parametrize("inside", [REFERENCE, {"type": "other"}], ids=["reference", "none"])
def test_rows_are_converted_however_deep_they_are_nested(inside: Any) -> None:
    convert = braintrust_attachments()
    assert convert is not None
    value = inside
    for _ in range(500):
        value = [{"in": value}]
    converted = convert({"input": value}, Loader())["input"]
    for _ in range(500):
        converted = converted[0]["in"]
    assert isinstance(converted, ReadonlyAttachment) == (inside is REFERENCE)
