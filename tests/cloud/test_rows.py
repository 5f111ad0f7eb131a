"""Pages of rows that a service in trouble may give: none of them makes a short run look whole."""

from __future__ import annotations

import itertools
import tracemalloc
from typing import Any

import pytest

from flask_braintrust_evals.cloud import rows
from flask_braintrust_evals.cloud.rows import fetch_rows
from flask_braintrust_evals.cloud.sessions.user_session import UserSession
from flask_braintrust_evals.errors import CloudError
from tests.standin import StandIn

FETCH = "/v1/dataset/d/fetch"


class Pages:
    """In place of a session: answers each request for a page by its cursor."""

    def __init__(self, *cursors: Any, first_id: int = 0, new_rows: bool = False) -> None:
        self.calls = 0
        self._cursors = cursors
        self._ids = itertools.count(first_id) if new_rows else itertools.repeat(first_id)

    def api(self, method: str, path: str, json: Any, **options: Any) -> Any:
        assert json.get("cursor") == (self._cursor(self.calls - 1) if self.calls else None)
        self.calls += 1
        return {"events": [{"id": str(next(self._ids))}], "cursor": self._cursor(self.calls - 1)}

    def _cursor(self, index: int) -> Any:
        return self._cursors[index % len(self._cursors)]


def read(pages: Pages) -> list[Any]:
    found = []
    for row in fetch_rows(pages, "dataset", "d"):  # type: ignore[arg-type]
        found.append(row)
        assert len(found) < 100_000, "no end"
    return found


@pytest.mark.parametrize("btql", [None, {"filter": None}])
@pytest.mark.parametrize("empty", [1, 3])
def test_an_empty_page_that_has_a_cursor_is_not_the_end(
    cloud: StandIn, session: UserSession, btql: dict[str, Any] | None, empty: int
) -> None:
    path, key = (FETCH, "events") if btql is None else ("/btql", "data")
    cloud.fault("POST", path, body={key: [{"id": "a"}], "cursor": "0"})
    for number in range(empty):
        cloud.fault("POST", path, body={key: [], "cursor": str(number + 1)})
    cloud.fault("POST", path, body={key: [{"id": "b"}]})
    assert list(fetch_rows(session, "dataset", "d", btql=btql)) == [{"id": "a"}, {"id": "b"}]


@pytest.mark.parametrize("new_rows", [True, False])
@pytest.mark.parametrize("length", [1, 2, 3, 7, 64, 100])
def test_cursors_in_a_circle_end_with_an_error(length: int, new_rows: bool) -> None:
    pages = Pages(*(f"c{number}" for number in range(length)), new_rows=new_rows)
    with pytest.raises(CloudError) as caught:
        read(pages)
    assert str(caught.value) == "Braintrust's pages of dataset d have no end: a cursor came again"
    assert pages.calls <= 4 * length


def test_a_circle_may_begin_late() -> None:
    class Late(Pages):
        def _cursor(self, index: int) -> str:
            return f"c{index if index < 20 else 20 + index % 3}"

    pages = Late(new_rows=True)
    with pytest.raises(CloudError, match="a cursor came again"):
        read(pages)
    assert pages.calls < 50


def test_new_cursors_without_new_rows_have_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "MAX_PAGES_WITHOUT_ROWS", 50)
    pages = Pages(*(f"c{number}" for number in range(1000)))
    with pytest.raises(CloudError) as caught:
        read(pages)
    assert str(caught.value) == "Braintrust gives page after page of dataset d without a new row"
    assert pages.calls == 52


def test_pages_of_older_states_between_new_rows_are_no_reason_to_stop(
    cloud: StandIn, session: UserSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "MAX_PAGES_WITHOUT_ROWS", 2)
    ids = ["a", "a", "a", "b", "a", "b", "c", "c"]
    for number, id in enumerate(ids):
        cloud.fault("POST", FETCH, body={"events": [{"id": id}], "cursor": str(number)})
    cloud.fault("POST", FETCH, body={"events": []})
    assert [row["id"] for row in fetch_rows(session, "dataset", "d")] == ["a", "b", "c"]


@pytest.mark.parametrize("cursor", [1, True, ["a"], {"a": 1}])
def test_a_cursor_that_is_not_a_text_is_an_error_and_not_the_end(
    cloud: StandIn, session: UserSession, cursor: Any
) -> None:
    cloud.fault("POST", FETCH, body={"events": [{"id": "a"}], "cursor": cursor})
    with pytest.raises(CloudError, match="has a cursor that is not a text"):
        list(fetch_rows(session, "dataset", "d"))


@pytest.mark.parametrize("end", [{"half": True}, {"body": b'{"events":[]'}, {"body": b""}])
def test_half_a_page_is_an_error_and_not_the_end(
    cloud: StandIn, session: UserSession, end: dict[str, Any]
) -> None:
    cloud.fault("POST", FETCH, body={"events": [{"id": "a"}], "cursor": "1"})
    whole = {"body": b'{"events":[]}' + b" " * 13}
    cloud.fault("POST", FETCH, **{**whole, **end})
    read = fetch_rows(session, "dataset", "d")
    assert next(read) == {"id": "a"}
    with pytest.raises(CloudError):
        next(read)


def test_rows_that_are_added_or_changed_meanwhile_are_read_once_as_they_were_first_met(
    cloud: StandIn, session: UserSession
) -> None:
    # Pages go back in time: what is changed later is on no later page, but older states are.
    cloud.fault("POST", FETCH, body={"events": [{"id": "b", "v": 2}, {"id": "a"}], "cursor": "1"})
    cloud.fault("POST", FETCH, body={"events": [{"id": "b", "v": 1}, {"id": "c"}], "cursor": "2"})
    cloud.fault("POST", FETCH, body={"events": []})
    found = list(fetch_rows(session, "dataset", "d"))
    assert found == [{"id": "b", "v": 2}, {"id": "a"}, {"id": "c"}]


def test_long_ids_are_not_kept() -> None:
    class LongIds(Pages):
        def api(self, *arguments: Any, **options: Any) -> Any:
            page = super().api(*arguments, **options)
            return {**page, "events": [{"id": f"{page['events'][0]['id']}{'x' * 1_000_000}"}]}

    pages = LongIds(*(f"c{number}" for number in range(50)), None, new_rows=True)
    tracemalloc.start()
    try:
        count = len([None for _ in fetch_rows(pages, "dataset", "d")])  # type: ignore[arg-type]
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 51
    assert most < 10_000_000
