"""An evaluator that returns the types of a row's attachments."""

# The SDK's types know only scorers of three arguments.
# mypy: disable-error-code="arg-type, list-item"

from typing import Any

from braintrust import Eval
from braintrust.logger import ReadonlyAttachment


def kind(input: Any, hooks: Any) -> str:
    is_object = isinstance(input["image"], ReadonlyAttachment)
    return "ReadonlyAttachment" if is_object else type(input["image"]).__name__


Eval("attachments", data=[], task=kind, scores=[])
