"""What the stand-in remembers: users, organisations, and the objects these own."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from threading import RLock
from typing import Any, TypeVar

from .answers import Refusal

Row = dict[str, Any]

_NAMESPACE = uuid.UUID("6f0a3c52-5d0a-4f5e-9d2b-0c6c1f6f7a11")
_EPOCH = datetime(2025, 6, 1, tzinfo=timezone.utc)
# Beyond 2**53, as the real ones are: a reader of floats gets them wrong.
_FIRST_XACT = 1000195000000000001


@dataclass
class Item:
    """An object of an organisation; `record` is what the API answers for it."""

    org: str
    record: Row

    @property
    def id(self) -> str:
        return str(self.record["id"])

    @property
    def name(self) -> str:
        return str(self.record["name"])


@dataclass
class Project(Item):
    pass


@dataclass
class Table(Item):
    """Something with rows, and older states of them by version."""

    rows: list[Row] = field(default_factory=list)
    versions: dict[str, list[Row]] = field(default_factory=dict)

    def as_of(self, version: str | None) -> list[Row]:
        if version is None:
            return self.rows
        if version in self.versions:
            return self.versions[version]
        if not version.isascii() or not version.isdigit():
            raise Refusal(400, f"Version {version!r} is not a transaction id")
        return [row for row in self.rows if int(row["_xact_id"]) <= int(version)]


@dataclass
class Dataset(Table):
    environments: dict[str, str] = field(default_factory=dict)


@dataclass
class Experiment(Table):
    pass


@dataclass
class Function(Item):
    run: Callable[[Any], Any]


@dataclass
class SavedParameters(Item):
    """Parameters of evaluators, saved in a project; `record` is the newest version."""

    versions: dict[str, Row] = field(default_factory=dict)
    environments: dict[str, str] = field(default_factory=dict)

    def as_of(self, version: str | None) -> Row | None:
        if version is None:
            return self.record
        data = self.versions.get(version)
        if data is None:
            return None
        function_data = {**self.record["function_data"], "data": data}
        return {**self.record, "_xact_id": version, "function_data": function_data}


K = TypeVar("K", bound=Item)


@dataclass(frozen=True)
class Caller:
    """Who calls: a token, its organisations, and the one named in `x-bt-org-name`."""

    token: str
    orgs: tuple[str, ...]
    org: str | None = None

    def acting_org(self, named: str | None) -> str:
        """The organisation to create something in. Raises `Refusal` where that is unclear."""
        org = named or self.org
        if org is None:
            if len(self.orgs) != 1:
                raise Refusal(400, "The token has several organizations: name one in org_name")
            return self.orgs[0]
        if org not in self.orgs:
            raise Refusal(403, f"Not a member of organization {org!r}")
        return org

    def visible_orgs(self, named: str | None) -> tuple[str, ...]:
        """The organisations to search by name; none at all for a foreign one."""
        org = named or self.org
        return tuple(each for each in self.orgs if org in (None, each))


class Cloud:
    """All state, under one reentrant lock that callers take for compound changes."""

    def __init__(self) -> None:
        self.lock = RLock()
        self.reset()

    def reset(self) -> None:
        with self.lock:
            self._users: dict[str, tuple[str, ...]] = {}
            self.git_metadata: dict[str, Row] = {}
            self.attachments: dict[str, Any] = {}
            self._items: dict[str, Item] = {}
            self._serial = 0

    def org_id(self, name: str) -> str:
        return make_id("org", name)

    def add_user(self, token: str, orgs: Iterable[str]) -> None:
        with self.lock:
            self._users[token] = tuple(orgs)

    def revoke(self, token: str) -> None:
        with self.lock:
            self._users.pop(token, None)

    def orgs_of(self, token: str | None) -> tuple[str, ...]:
        """The organisations of a token's user. Raises `Refusal` (401) for an unknown token."""
        with self.lock:
            orgs = None if token is None else self._users.get(token)
        if orgs is None:
            raise Refusal(401, "Invalid API key" if token else "No API key given")
        return orgs

    def add(self, item: K) -> K:
        with self.lock:
            if item.id in self._items:
                raise ValueError(f"there is already an object with the id {item.id!r}")
            self._items[item.id] = item
        return item

    def items(self, kind: type[K]) -> list[K]:
        """Every object of a kind, the oldest first."""
        with self.lock:
            return [item for item in self._items.values() if isinstance(item, kind)]

    def is_a(self, kind: type[Item], id: str) -> bool:
        """Whether there is an object of that kind and id, visible or not."""
        with self.lock:
            return isinstance(self._items.get(id), kind)

    def get(self, caller: Caller, kind: type[K], id: str) -> K:
        """An object by id. Raises `Refusal`: 404 for unknown, 403 for another organisation's."""
        with self.lock:
            item = self._items.get(id)
        if not isinstance(item, kind):
            raise Refusal(404, f"No {kind.__name__.lower()} has the id {id!r}")
        if item.org not in caller.orgs:
            raise Refusal(403, f"No permission to read {kind.__name__.lower()} {id!r}")
        return item

    def find(self, kind: type[K], orgs: Sequence[str], **fields: str | None) -> list[K]:
        """The objects whose record has these values; `None` matches anything."""
        wanted = {key: value for key, value in fields.items() if value is not None}
        return [
            item
            for item in self.items(kind)
            if item.org in orgs and all(item.record.get(k) == v for k, v in wanted.items())
        ]

    def project_named(self, org: str, name: str) -> Project:
        """The organisation's project of that name, made if need be."""
        with self.lock:
            found = self.find(Project, [org], name=name)
            if found:
                return found[0]
            record = {
                **self._common("project", org, name),
                "org_id": self.org_id(org),
                "settings": None,
            }
            return self.add(Project(org, record))

    def dataset_named(self, project: Project, name: str, id: str | None = None) -> Dataset:
        """A new dataset. Raises `ValueError` where its id is taken."""
        record = {
            **self._common("dataset", project.id, name, id),
            "project_id": project.id,
            "description": None,
            "metadata": None,
        }
        return self.add(Dataset(project.org, record))

    def experiment_named(self, project: Project, name: str, **fields: Any) -> Experiment:
        """A new experiment. Raises `ValueError` where the project has one of that name."""
        blank = dict.fromkeys(
            ["description", "repo_info", "commit", "base_exp_id", "dataset_id", "dataset_version"]
            + ["parameters_id", "parameters_version", "metadata", "tags"]
        )
        record = {
            **self._common("experiment", project.id, name),
            "project_id": project.id,
            **blank,
            "public": False,
            **fields,
        }
        return self.add(Experiment(project.org, record))

    def saved_parameters(self, project: Project, slug: str, function_data: Row) -> SavedParameters:
        """New saved parameters. Raises `ValueError` where the project has some of that slug."""
        record = {
            **self._common("parameters", project.id, slug),
            "_xact_id": self.stamp()[0],
            "slug": slug,
            "project_id": project.id,
            "project_name": project.name,
            "org_id": self.org_id(project.org),
            "log_id": "p",
            "function_type": "parameters",
            "function_data": {"type": "parameters", **function_data},
        }
        return self.add(SavedParameters(project.org, record))

    def next_serial(self) -> int:
        with self.lock:
            self._serial += 1
            return self._serial

    def stamp(self) -> tuple[str, str]:
        """A new transaction id and its time; both only ever grow."""
        serial = self.next_serial()
        created = (_EPOCH + timedelta(milliseconds=serial)).isoformat(timespec="milliseconds")
        return str(_FIRST_XACT + serial), created.replace("+00:00", "Z")

    def _common(self, kind: str, owner: str, name: str, id: str | None = None) -> Row:
        return {
            "id": id or make_id(kind, owner, name),
            "name": name,
            "created": self.stamp()[1],
            "deleted_at": None,
            "user_id": None,
        }


def make_id(*parts: str) -> str:
    """A UUID that is the same for the same parts, across resets and processes."""
    return str(uuid.uuid5(_NAMESPACE, "\0".join(parts)))
