"""Describes the workers that run cases, for ``flask evals workers``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from flask_braintrust_evals.distribution.messaging.transport import WorkerInfo

HELLO_TIMEOUT = 2.0
"""Seconds that workers have to answer."""


def describe_workers(processes: Iterable[WorkerInfo], evaluators: Sequence[str]) -> str:
    """Return a text about workers, each of which may have several processes.

    Args:
        processes: what the processes say.
        evaluators: the names of this application's evaluators whose cases may run there.
    """
    by_name: dict[str, list[WorkerInfo]] = {}
    for each in processes:
        by_name.setdefault(each.name, []).append(each)
    return "\n".join(
        line for name in sorted(by_name) for line in _describe(name, by_name[name], evaluators)
    )


def _describe(name: str, processes: list[WorkerInfo], evaluators: Sequence[str]) -> list[str]:
    slots = sum(each.slots for each in processes)
    free = sum(each.slots - each.busy for each in processes)
    pools = ", ".join(sorted({each.pool for each in processes}))
    versions = ", ".join(sorted({each.version for each in processes}))
    releases = ", ".join(sorted({each.release for each in processes if each.release}))
    about = [pools, f"{free} of {slots} slots free", f"flask-braintrust-evals {versions}"]
    if releases:
        about.append(f"release {releases}")
    known = {evaluator for each in processes for evaluator in each.evaluators}
    lines = [f"{name}: {', '.join(about)}"]
    lines.append(f"  evaluators: {', '.join(sorted(known)) or 'none'}")
    missing = [evaluator for evaluator in evaluators if evaluator not in known]
    if missing:
        lines.append(f"  missing: {', '.join(missing)}; restart it with the code of the server")
    return lines
