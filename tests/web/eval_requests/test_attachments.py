"""Large attachments are stored beside the run, as the caller, and the spans refer to them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import braintrust
import pytest

from flask_braintrust_evals import EvalHooks, Evaluator
from flask_braintrust_evals.cloud import uploads
from flask_braintrust_evals.contrib.braintrust.attachments import MAX_BYTES
from tests.standin import StandIn
from tests.support import TOKEN, eventually
from tests.web.support import Api, api_of, cloud_app, deltas, last_json, make_app, types_of

LARGE = bytes(range(256)) * 8_000


@pytest.fixture(autouse=True)
def no_login(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def refuse(*args: Any, **options: Any) -> None:
        raise AssertionError("the application's login must not be used")

    monkeypatch.setattr(braintrust.logger, "login", refuse)
    yield
    eventually(lambda: uploads._waiting_bytes == 0)


def picture(data: Any = LARGE, name: str = "cat.png") -> Any:
    return braintrust.Attachment(data=data, filename=name, content_type="image/png")


def pictures(input: Any) -> Any:
    return {"image": picture()}


def ended(cloud: StandIn) -> None:
    """Wait until the uploads of all attachments have ended: until then they count as waiting."""
    eventually(lambda: uploads._waiting_bytes == 0)


def output_of(api: Api, **fields: Any) -> Any:
    (event,) = deltas(api.events(name="e", data=[{"input": 1}], **fields))
    return json.loads(event["data"])


def test_a_large_attachment_is_stored_and_referred_to(cloud: StandIn) -> None:
    output = output_of(api_of(cloud, Evaluator("e", pictures)))
    ended(cloud)
    (stored,) = cloud.attachments
    assert output == {"image": {"type": "braintrust_attachment", **stored.reference}}
    assert stored.reference["filename"] == "cat.png"
    assert (stored.content, stored.status) == (LARGE, {"upload_status": "done"})
    assert (stored.token, stored.org) == (TOKEN, cloud.org_id("acme"))
    (span,) = cloud.spans_named("eval")
    assert span.json("braintrust.output_json") == output


def test_a_small_attachment_is_a_part_of_its_value(cloud: StandIn) -> None:
    api = api_of(cloud, Evaluator("e", lambda input: picture(b"\x89PNG")))
    assert output_of(api) == "data:image/png;base64,iVBORw=="
    assert not cloud.attachments


def test_an_attachment_is_stored_once_however_often_it_is_written(cloud: StandIn) -> None:
    def task(input: Any, hooks: EvalHooks) -> Any:
        hooks.metadata["image"] = input
        hooks.span.log(metadata={"again": input})
        return [input, input]

    shared = picture()
    api = api_of(cloud, Evaluator("e", task, data=[{"input": shared}, {"input": shared}]))
    api.events(name="e", data={"own": True}, trial_count=2)
    ended(cloud)
    (stored,) = cloud.attachments
    references = [span.json("braintrust.input_json") for span in cloud.spans_named("eval")]
    assert [each["key"] for each in references] == [stored.reference["key"]] * 4
    # The next run may be of another organisation.
    api.events(name="e", data={"own": True})
    ended(cloud)
    assert len(cloud.attachments) == 2


def test_an_attachment_of_a_file_is_read_and_stored(cloud: StandIn, tmp_path: Path) -> None:
    (tmp_path / "cat.png").write_bytes(LARGE)
    api = api_of(cloud, Evaluator("e", lambda input: picture(str(tmp_path / "cat.png"))))
    output_of(api)
    ended(cloud)
    assert cloud.attachments[0].content == LARGE


@pytest.mark.parametrize("in_file", [True, False], ids=["file", "memory"])
def test_what_is_too_large_is_left_out_with_a_text(
    cloud: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_file: bool
) -> None:
    monkeypatch.setattr(uploads.AttachmentUploads, "max_bytes", 1_000_000)
    (tmp_path / "cat.png").write_bytes(LARGE)
    data = str(tmp_path / "cat.png") if in_file else LARGE
    output = output_of(api_of(cloud, Evaluator("e", lambda input: picture(data))))
    assert (
        output == f"attachment 'cat.png' (image/png) of {len(LARGE)} bytes is too large for a trace"
    )
    assert not cloud.attachments


def test_without_a_recording_there_is_a_text() -> None:
    api = Api(make_app(Evaluator("e", pictures), BRAINTRUST_EVALS_AUTH="none"))
    assert "is too large for a trace" in output_of(api)["image"]


def test_nobody_waits_for_an_upload_and_the_session_is_kept_for_it(cloud: StandIn) -> None:
    gate = cloud.gate("PUT", "/object-store/.*")
    app = cloud_app(cloud, Evaluator("e", pictures), BRAINTRUST_EVALS_MAX_RUNS=1)
    api = Api(app)
    events = api.events(name="e", data=[{"input": 1}])
    assert types_of(events)[-2:] == ["summary", "done"]
    cloud.wait_for(lambda: [each.content for each in cloud.attachments] == [None])
    # Until it has ended, the run has its slot and its session.
    assert api.eval(name="e").status_code in (429, 503)
    gate.release()
    ended(cloud)
    assert cloud.attachments[0].content == LARGE
    eventually(lambda: api.eval(name="e", stream=False).status_code == 200)


def answered(**body: Any) -> dict[str, Any]:
    return {"status": 200, "body": body}


@pytest.mark.parametrize(
    ("call", "fault"),
    [
        (("POST", "/attachment"), {"status": 403}),
        (("POST", "/attachment"), {"nonsense": True}),
        (
            ("POST", "/attachment"),
            {"body": {"signedUrl": "http://10.0.0.1/x", "headers": {}}, "status": 200},
        ),
        (("POST", "/attachment"), {"body": {"signedUrl": 1}, "status": 200}),
        (("PUT", "/object-store/.*"), {"status": 403}),
        (("PUT", "/object-store/.*"), {"status": 307, "headers": {"Location": "http://10.0.0.1/"}}),
    ],
    ids=["refused", "nonsense", "inner address", "no address", "refused by the store", "redirect"],
)
def test_a_failed_upload_costs_nothing_but_the_attachment(
    cloud: StandIn, caplog: pytest.LogCaptureFixture, call: Any, fault: Any
) -> None:
    cloud.fault(*call, times=None, **fault)
    api = api_of(cloud, Evaluator("e", pictures))
    events = api.events(name="e", data=[{"input": 1}, {"input": 2}])
    assert types_of(events)[-2:] == ["summary", "done"]
    assert "lostSpans" not in last_json(events, "summary")
    ended(cloud)
    assert caplog.text.count("attachment 'cat.png' could not be stored: ") == 2
    assert TOKEN not in caplog.text
    assert "signature-of-the-store" not in caplog.text
    for each in cloud.attachments:
        assert each.status["upload_status"] == "error"
        assert each.status["error_message"]
    # The session was not ended by a refusal that concerns attachments alone.
    api.events(name="e", data=[])
    assert cloud.logins == 1


def test_an_upload_that_fails_for_a_moment_is_tried_again(cloud: StandIn) -> None:
    cloud.fault("PUT", "/object-store/.*", status=503, headers={"Retry-After": "0"})
    output_of(api_of(cloud, Evaluator("e", pictures)))
    ended(cloud)
    assert cloud.attachments[0].status == {"upload_status": "done"}


def test_uploads_that_have_not_begun_some_time_after_the_run_are_given_up(
    cloud: StandIn, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(uploads, "MAX_SECONDS", 0.0)
    gate = cloud.gate("PUT", "/object-store/.*")
    api = api_of(cloud, Evaluator("e", pictures))
    api.events(name="e", data=[{"input": 1}, {"input": 2}])
    gate.release()
    ended(cloud)
    assert [each.content for each in cloud.attachments] == [LARGE], "the other was not announced"
    assert "could not be stored: the run has ended before the upload" in caplog.text


def test_what_waits_is_bounded(cloud: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MAX_WAITING_BYTES", len(LARGE) + 1)
    gate = cloud.gate("PUT", "/object-store/.*")
    api = api_of(cloud, Evaluator("e", lambda input: [picture(), picture()]))
    first, second = output_of(api)
    assert second.endswith(
        "too large for a trace: too many other attachments wait for their upload"
    )
    gate.release()
    ended(cloud)
    assert [each.reference["key"] for each in cloud.attachments] == [first["key"]]


def test_the_command_line_waits_for_uploads(
    cloud: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BRAINTRUST_API_KEY", TOKEN)
    app = cloud_app(cloud, Evaluator("e", pictures, data=[{"input": 1}]))
    result = app.test_cli_runner().invoke(args=["evals", "run", "e", "--experiment", "first"])
    assert result.exit_code == 0, result.output
    assert [each.status for each in cloud.attachments] == [{"upload_status": "done"}]


def test_the_limit_is_that_of_a_value_in_a_trace() -> None:
    assert len(LARGE) > MAX_BYTES


@pytest.mark.parametrize("source", ["dataset", "experiment"])
def test_references_in_rows_become_attachments(cloud: StandIn, source: str) -> None:
    reference = {
        "type": "braintrust_attachment",
        "filename": "cat.png",
        "content_type": "image/png",
        "key": "the-key",
    }
    rows = [{"id": "r", "input": reference}]
    if source == "dataset":
        cloud.add_dataset("acme", "e", "rows", rows)
        data = {"project_name": "e", "dataset_name": "rows"}
    else:
        cloud.add_experiment("acme", "e", "rows", rows)
        data = {"project_name": "e", "experiment_name": "rows"}

    def task(input: Any) -> Any:
        return type(input).__name__, input

    kind, output = api_of(cloud, Evaluator("e", task)).outputs(name="e", data=data)[0]
    assert kind == "CallerAttachment"
    assert output == reference
