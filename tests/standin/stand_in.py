"""`StandIn`: what tests hold in their hands."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from threading import Condition
from types import TracebackType
from typing import Any, TypeVar

from .attachments import StoredAttachment
from .faults import Fault, Faults, Gate
from .journal import Call, Journal
from .logged import LoggedRow
from .request import World
from .rows import dataset_rows, experiment_rows
from .server import Server
from .spans import StoredSpan
from .state import Cloud, Experiment, Function, Row, make_id

T = TypeVar("T")
Rows = Iterable[Mapping[str, Any]]


class StandIn:
    """Braintrust's cloud on a local port: app, API and proxy in one.

    It listens from construction until `close`. Users and objects may be added while it serves.
    All methods may be called from any thread.
    """

    def __init__(self) -> None:
        changed = Condition()
        self._cloud = Cloud()
        self._journal = Journal(changed)
        self._faults = Faults(changed)
        self._changed = changed
        self._world = World(self._cloud, self._journal)
        self._server = Server(self._world, self._faults)

    @property
    def url(self) -> str:
        """The base address, without a slash at its end."""
        return self._world.url

    def close(self) -> None:
        """Release whatever waits, close the socket and cut the open connections."""
        self._faults.reset()
        self._server.close()

    def reset(self) -> None:
        """Forget users, objects, calls, spans, faults and settings; keep serving."""
        self._faults.reset()
        self._cloud.reset()
        self._journal.reset()
        self._world.page_size = None
        self._world.cursor_on_last_page = True
        self._world.addresses.clear()

    def __enter__(self) -> StandIn:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def page_size(self) -> int | None:
        """The largest page of rows served, whatever a request asks for; `None` for no cap."""
        return self._world.page_size

    @page_size.setter
    def page_size(self, size: int | None) -> None:
        self._world.page_size = size

    @property
    def cursor_on_last_page(self) -> bool:
        """Whether only an empty page lacks a cursor, as is documented; else the last one does."""
        return self._world.cursor_on_last_page

    @cursor_on_last_page.setter
    def cursor_on_last_page(self, given: bool) -> None:
        self._world.cursor_on_last_page = given

    def add_user(self, token: str, orgs: Iterable[str] = ("acme",)) -> None:
        """Let a token in, as a user of these organisations; again to change them."""
        self._cloud.add_user(token, orgs)

    def revoke(self, token: str) -> None:
        """Answer every later call with this token by 401."""
        self._cloud.revoke(token)

    def set_addresses(self, org: str, **addresses: str) -> None:
        """Have the login name other addresses, as an organisation's owner can: `api_url=` etc."""
        self._world.addresses[org] = addresses

    def collect_git(self, org: str, collect: str, fields: Iterable[str] = ()) -> None:
        """Have an organisation collect the state of checkouts: `all`, `none`, or `some` fields."""
        self._cloud.git_metadata[org] = {"collect": collect, "fields": list(fields)}

    def org_id(self, org: str) -> str:
        """An organisation's id, which depends on its name alone."""
        return self._cloud.org_id(org)

    def add_project(self, org: str, name: str) -> str:
        """The id of the project, made if need be."""
        return self._cloud.project_named(org, name).id

    def add_dataset(
        self,
        org: str,
        project: str,
        name: str,
        rows: Rows,
        *,
        id: str | None = None,
        environments: Mapping[str, str | int] | None = None,
        versions: Mapping[str | int, Rows] | None = None,
    ) -> str:
        """Add a dataset and return its id.

        Args:
            rows: Served in this order. What a row lacks of `id`, `_xact_id`, `created` and so on
                is filled in; two rows may share an id, as on later pages of the real cloud.
            environments: Name to version.
            versions: Rows by version. Any other version is a limit on `_xact_id` in `rows`.
        """
        cloud = self._cloud
        with cloud.lock:
            dataset = cloud.dataset_named(cloud.project_named(org, project), name, id)
            for version, old in (versions or {}).items():
                dataset.versions[str(version)] = dataset_rows(cloud, dataset, old, str(version))
            dataset.rows = dataset_rows(cloud, dataset, rows)
            dataset.environments = {k: str(v) for k, v in (environments or {}).items()}
        return dataset.id

    def add_experiment(self, org: str, project: str, name: str, rows: Rows = ()) -> str:
        """Add an experiment and return its id.

        A row with `is_root: False` or with `span_parents` belongs to the root before it.
        """
        cloud = self._cloud
        with cloud.lock:
            experiment = cloud.experiment_named(cloud.project_named(org, project), name)
            experiment.rows = experiment_rows(cloud, experiment, rows)
        return experiment.id

    def add_function(
        self,
        function: Callable[[Any], Any],
        *,
        id: str | None = None,
        slug: str | None = None,
        project: str | None = None,
        org: str = "acme",
    ) -> str:
        """Add a function, such as a remote scorer, and return its id.

        It is called with the `input` of the call, in a thread of the server; what it raises is
        answered with 500. Without a project, its slug is its name as a `global_function`; the
        slug `inline` plays inline code and prompts. A `prompt_session_function_id` is an id.
        """
        project_id = None if project is None else self.add_project(org, project)
        serial = str(self._cloud.next_serial())
        record: Row = {
            "id": id or make_id("function", org, project or "", slug or serial),
            "name": slug or f"function-{serial}",
            "slug": slug or f"function-{serial}",
            "project_id": project_id,
            "project_name": project,
        }
        return self._cloud.add(Function(org, record, function)).id

    def add_parameters(
        self,
        org: str,
        project: str,
        slug: str,
        schema: Mapping[str, Any],
        data: Mapping[str, Any],
        *,
        versions: Mapping[str, Mapping[str, Any]] | None = None,
        environments: Mapping[str, str] | None = None,
    ) -> str:
        """Save parameters of evaluators and return their id.

        Args:
            schema: A JSON Schema of all of them.
            data: The values saved.
            versions: Earlier values by version.
            environments: Name to version.
        """
        cloud = self._cloud
        with cloud.lock:
            function_data = {"__schema": dict(schema), "data": dict(data)}
            owner = cloud.project_named(org, project)
            saved = cloud.saved_parameters(owner, slug, function_data)
            saved.versions = {k: dict(v) for k, v in (versions or {}).items()}
            saved.environments = dict(environments or {})
        return saved.id

    @property
    def experiments(self) -> list[Row]:
        """Every experiment as the API answers it, the oldest first."""
        return [dict(item.record) for item in self._cloud.items(Experiment)]

    @property
    def calls(self) -> list[Call]:
        """Every call so far, those in progress included, in order of arrival."""
        return self._journal.calls

    def calls_to(self, method: str, path: str) -> list[Call]:
        """The calls of a method (`*` for any) whose whole path matches a pattern."""
        return [
            call
            for call in self.calls
            if method in ("*", call.method) and re.fullmatch(path, call.path)
        ]

    @property
    def logins(self) -> int:
        """How many logins were tried."""
        return len(self.calls_to("POST", "/api/apikey/login"))

    @property
    def spans(self) -> list[StoredSpan]:
        """Every span so far, in order of arrival; one exported twice is here twice."""
        return self._journal.spans

    @property
    def rows(self) -> list[LoggedRow]:
        """Every row that the SDK has logged, each with all that later ones changed in it."""
        return self._journal.rows

    def recorded(self, parent: str) -> list[Row]:
        """The rows of an object, such as `playground_id:…`, by whichever way they came in."""
        return self._journal.recorded(parent)

    @property
    def attachments(self) -> list[StoredAttachment]:
        """Every attachment that was announced, the oldest first."""
        return list(self._cloud.attachments.values())

    def spans_named(self, name: str) -> list[StoredSpan]:
        return [span for span in self.spans if span.name == name]

    def wait_for(self, predicate: Callable[[], T], timeout: float = 10) -> T:
        """Wait until `predicate()` is true, asking again on every call, answer, span and gate.

        Returns what it returned. Raises `TimeoutError` after `timeout` seconds. The predicate
        must not block: nothing is served while it runs.
        """
        return self._journal.wait_for(predicate, timeout)

    def fault(
        self,
        method: str,
        path: str,
        *,
        status: int | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        delay: float = 0.0,
        drip: float = 0.0,
        drip_after: int = 0,
        close: bool = False,
        half: bool = False,
        nonsense: bool = False,
        times: int | None = 1,
        after: int = 0,
    ) -> Fault:
        """Misbehave on the calls of a method (`*` for any) whose whole path matches a pattern.

        The token of such a call is not looked at, unless the real answer is given after all.
        Of several faults that match a call, the oldest that is not spent is played.

        Args:
            status: Answer with this status; from 400 on with an error unless there is a `body`.
            body: Answer with this: `str` and `bytes` as they are, anything else as JSON.
            headers: Further headers of such an answer.
            delay: Seconds to wait before anything else.
            drip: Seconds between the bytes of the answer, which are sent one by one.
            drip_after: How many bytes of it to send at once first.
            close: Close the socket without an answer, and without doing what was asked.
            half: Do what was asked and close the socket half-way through the answer.
            nonsense: Answer with HTML, with 200 unless there is a `status`.
            times: How many calls to play it on; `None` for ever.
            after: How many matching calls to leave alone first.
        """
        fault = Fault(
            method,
            path,
            status=status,
            body=body,
            headers=headers,
            delay=delay,
            drip=drip,
            drip_after=drip_after,
            close=close,
            half=half,
            nonsense=nonsense,
            times=times,
            after=after,
        )
        self._faults.add_fault(fault)
        return fault

    def gate(self, method: str, path: str, *, after: int = 0) -> Gate:
        """Hold the calls of a method (`*` for any) whose whole path matches, until released.

        A held call is already in `calls`; it is let through after 30 seconds at the latest.
        """
        gate = Gate(method, path, after=after, changed=self._changed)
        self._faults.add_gate(gate)
        return gate
