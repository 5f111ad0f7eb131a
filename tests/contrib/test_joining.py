"""How the SDK's tracing is joined, and what is said where it cannot be."""

from __future__ import annotations

import logging

import pytest
from braintrust.logger import _internal_get_global_state

from flask_braintrust_evals.contrib import braintrust_spans
from flask_braintrust_evals.contrib.braintrust import tracing
from flask_braintrust_evals.contrib.braintrust.tracing import CaseContextManager, SdkSpan


def test_the_sdk_is_joined_once_however_often_runs_begin() -> None:
    install = braintrust_spans()
    assert install is not None
    manager = _internal_get_global_state().context_manager
    assert isinstance(manager, CaseContextManager)
    assert install() is SdkSpan
    assert _internal_get_global_state().context_manager is manager


def test_an_sdk_whose_spans_have_more_methods_is_not_joined_and_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tracing.SdkSpan, "__abstractmethods__", frozenset(["paint"]))
    with caplog.at_level(logging.WARNING):
        assert braintrust_spans() is None
    assert "cannot be joined to runs (TypeError: its spans have methods that are not known" in (
        caplog.text
    )
    assert "paint" in caplog.text


def test_outside_of_cases_the_sdk_has_its_own_current_span() -> None:
    import braintrust

    braintrust_spans()
    assert braintrust.current_span() is braintrust.NOOP_SPAN
