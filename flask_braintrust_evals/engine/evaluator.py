"""An evaluator: a task and its scorers, with the settings of its runs."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from flask_braintrust_evals.errors import RegistrationError
from flask_braintrust_evals.texts.excerpts import excerpt
from flask_braintrust_evals.texts.suggestions import did_you_mean

from .calls.introspection import calling_location
from .calls.plan import CasePlan
from .calls.signatures import TaskCall, scorer_calls
from .parameters.values import ParameterSet
from .values import foreign_datasets
from .values.names import LongName
from .values.option_checks import (
    check_data,
    check_labels,
    check_names,
    check_numbers,
    check_retries,
    check_scope,
    check_second_argument,
    check_seconds,
    check_switches,
    check_texts,
)

if TYPE_CHECKING:
    from .parameters.saved import SavedParameterSet
    from .values.results import EvalResult

DEFAULT_CONCURRENCY = 10
"""Cases at a time if nothing else is set; the default of Braintrust's SDK."""


@dataclass
class Evaluator:
    """A named task with scorers, classifiers and parameters.

    Attributes:
        name: the name by which the Playground shows and runs it.
        task: ``task(input)`` or ``task(input, hooks)``; plain or ``async``.
        scores: scorers; each takes any of ``input, output, expected, metadata, tags, id,
            trace, parameters`` by name and returns a number from 0 to 1, a bool, ``None``, a
            :class:`Score`, a dict, or a list of those.
        classifiers: the same, returning a :class:`Classification`, a dict, ``None``, or a list.
        parameters: a mapping of names to JSON Schemas with a ``type``, to ``{"type": "model"}`` or
            ``{"type": "prompt"}``, to pydantic model classes, or to ``None`` for any value; or a
            pydantic model class whose fields they are; or what ``load_parameters`` of the
            ``braintrust`` SDK returns.
        project: the name of the Braintrust project that runs without a parent are recorded in.
        project_id: the id of this project; takes precedence over ``project``.
        data: the cases of a run that gets none: an iterable, or a function that returns one;
            either may be ``async``. The cases of an iterator are kept for further runs.
        experiment_name: the name of the experiments that runs are recorded in.
        metadata: metadata of these experiments.
        tags: tags of these experiments.
        trial_count: how often each case is run.
        max_concurrency: cases at a time; ``None``: the number in the application's settings.
        timeout: seconds that a whole run may take; ``None``: for requests the number in the
            application's settings, and otherwise no limit.
        task_timeout: seconds that the task may take for one case; after that the case has failed,
            and the run continues without waiting for the task. ``None``: no limit.
        retries: how often the task is called again for a case that it failed on, after a pause. It
            doubles from half a second to 30, or is what the error asks for, as ``retry_after`` or
            in the header ``Retry-After`` of its ``response``. A task that reached its
            ``task_timeout`` is not called again.
        blocking: whether the task and the scorers may run for long without letting other greenlets
            run, as C extensions and long computations do. They are then called in threads of the
            operating system, at most 40 at a time in one process.
        distributed: whether its cases may run on other machines, where the application is set up
            for that (``BRAINTRUST_EVALS_EXECUTOR``). If false, they run in the server's process.
        description: the purpose of the evaluator, for people.
        error_score_handler: ``handler(span, case, names)``, called when the task or scorers failed,
            with the ``eval`` span, the case, and the names of the scorers that failed, or of all
            if the task did; returns scores for them by name, or ``None``.
        base_experiment_name: the experiment that these experiments are compared with.
        base_experiment_id: the id of this experiment; takes precedence over the name.
        is_public: whether these experiments are public.
        git_fields: the fields of the git checkout that these experiments may have, out of those
            that the organisation collects, as in evaluators of the ``braintrust`` SDK; ``None``:
            all of them.
        repo_info: what these experiments have instead of what is read of the checkout, as in
            evaluators of the ``braintrust`` SDK; ``None``: nothing.
        number_scorers: whether several scorers, or several classifiers, may have the same name, as
            in evaluators of the ``braintrust`` SDK. They are named ``x``, ``x (2)`` and so on.
        long_name: another name, under which it is found, too; ``None``: it has none.
        location: ``file:line`` of its definition, for messages.
        plan: the task and the scorers, ready to be called.
        parameter_set: the declared parameters.

    Raises:
        RegistrationError: one of these is not valid; the message names the evaluator and its
            location.
    """

    name: str
    task: Callable[..., Any]
    _: KW_ONLY
    scores: Sequence[Any] = ()
    classifiers: Sequence[Any] = ()
    parameters: Any = None
    project: str | None = None
    project_id: str | None = None
    data: Any = None
    experiment_name: str | None = None
    metadata: Mapping[str, Any] | None = None
    tags: Sequence[str] | None = None
    trial_count: int = 1
    max_concurrency: int | None = None
    timeout: float | None = None
    task_timeout: float | None = None
    retries: int = 0
    blocking: bool = False
    distributed: bool = True
    description: str | None = None
    error_score_handler: Callable[..., Any] | None = None
    base_experiment_name: str | None = None
    base_experiment_id: str | None = None
    is_public: bool = False
    git_fields: frozenset[str] | None = field(default=None, repr=False)
    repo_info: Mapping[str, Any] | None = field(default=None, repr=False)
    number_scorers: bool = field(default=False, repr=False)
    long_name: LongName | None = field(default=None, repr=False)
    location: str = field(default="", repr=False)
    plan: CasePlan = field(init=False, repr=False)
    parameter_set: ParameterSet | SavedParameterSet = field(init=False, repr=False)
    __signature__: ClassVar[inspect.Signature]

    def __new__(cls, *arguments: Any, **options: Any) -> Evaluator:
        """Make an evaluator; say which option an unknown one stands for.

        Raises:
            TypeError: there is no option of this name.
        """
        for name in options:
            if cls is Evaluator and name not in _OPTIONS:
                raise TypeError(f"an evaluator has no option {name!r}; {_meant(name)}")
        return super().__new__(cls)

    def __post_init__(self) -> None:
        self.location = self.location or calling_location()
        if not isinstance(self.name, str) or not self.name.strip():
            raise RegistrationError(
                f"an evaluator's name must be a text that is not empty, not {excerpt(self.name)}"
                f" ({self.location})"
            )
        try:
            self.plan = CasePlan(
                self.name,
                TaskCall.of(self.task),
                scorer_calls(self.scores, "scorer", self.name, numbered=self.number_scorers),
                scorer_calls(
                    self.classifiers, "classifier", self.name, numbered=self.number_scorers
                ),
                self.error_score_handler,
                self.task_timeout,
                self.blocking,
                self.retries,
            )
            self.parameter_set = _declared(self.parameters, self.name)
            check_second_argument(self.plan.task.hooks_name, self.parameter_set.names)
            if self.trial_count is None:
                raise RegistrationError("trial_count must be a whole number from 1, not None")
            check_numbers(self.trial_count, self.max_concurrency, self.timeout)
            check_seconds("task_timeout", self.task_timeout)
            check_retries(self.retries)
            check_texts(
                project=self.project,
                project_id=self.project_id,
                experiment_name=self.experiment_name,
                description=self.description,
                base_experiment_name=self.base_experiment_name,
                base_experiment_id=self.base_experiment_id,
            )
            check_labels(self.metadata, self.tags)
            check_switches(
                blocking=self.blocking, distributed=self.distributed, is_public=self.is_public
            )
            data = foreign_datasets.described(self.data)
            check_data(data)
            self.data = _repeatable(data)
            if self.error_score_handler is not None and not callable(self.error_score_handler):
                raise RegistrationError(
                    "error_score_handler must be a function, not"
                    f" {excerpt(self.error_score_handler)}"
                )
        except RegistrationError as error:
            raise type(error)(f"{error} ({self.name!r} is defined at {self.location})") from error

    def run(
        self,
        cases: Any = None,
        parameters: Mapping[str, Any] | None = None,
        *,
        max_concurrency: int | None = None,
        trial_count: int | None = None,
        timeout: float | None = None,
        retries: int | None = None,
        scope: Callable[[], AbstractContextManager[Any]] | None = None,
    ) -> EvalResult:
        """Run the evaluator in this process, without Flask and without Braintrust.

        Args:
            cases: an iterable of :class:`EvalCase` objects or dicts with an ``input``, or a
                function that returns one; either may be ``async``. Default: the evaluator's
                ``data``.
            parameters: values of the parameters; the others have their defaults.
            max_concurrency: cases at a time; default: the evaluator's, or else 10.
            trial_count: how often each case is run; default: the evaluator's.
            timeout: seconds that the run may take; default: the evaluator's.
            retries: how often the task is called again for a case that it failed on; default: the
                evaluator's.
            scope: entered around each case, on the thread that runs it, such as
                ``app.app_context`` for tasks that need Flask's ``current_app``.

        Returns:
            the results of all cases, in the order of the data, and the means of their scores.

        Raises:
            RequestError: the value of a parameter is not valid, or there is no such parameter.
            RegistrationError: a number or the scope is not valid.
            DataError: neither the run nor the evaluator has data, the data cannot be read, or a
                case is not valid.
            RunTimeoutError: the time-out was reached before all cases were done.
        """
        check_numbers(trial_count, max_concurrency, timeout)
        check_retries(retries)
        check_names(self.parameter_set.names, parameters)
        check_scope(scope)
        values = self.parameter_set.validate(parameters)
        # Not at the top: an application that only registers evaluators does not need it.
        from .running.local_run import run_locally

        return run_locally(
            self.plan if retries is None else dataclasses.replace(self.plan, retries=retries),
            values,
            self.data if cases is None else cases,
            max_concurrency=max_concurrency or self.max_concurrency or DEFAULT_CONCURRENCY,
            trial_count=trial_count or self.trial_count,
            timeout=timeout or self.timeout,
            scope=scope or nullcontext,
        )


def _meant(name: str) -> str:
    # Those that are not shown are for other modules.
    shown = [each.name for each in dataclasses.fields(Evaluator) if each.init and each.repr]
    return "did you mean 'scores'?" if name == "scorers" else did_you_mean(name, shown)


def _declared(parameters: Any, evaluator: str) -> ParameterSet | SavedParameterSet:
    if parameters is None:
        return ParameterSet({})
    from .parameters.declare import declare  # not at the top: it brings pydantic and jsonschema

    return declare(parameters, evaluator)


def _repeatable(data: Any) -> Any:
    """Return ``data`` so that its cases can be read any number of times.

    Iterators, plain or ``async``, and coroutines can be read only once: their cases are kept.
    """
    if isinstance(data, Iterator | AsyncIterator) or inspect.isawaitable(data):
        from .running.sources.own_cases import (
            RememberedCases,  # not at the top: it brings the event loop
        )

        return RememberedCases(data)
    return data


_OPTIONS = tuple(each.name for each in dataclasses.fields(Evaluator) if each.init)
"""The names of what an evaluator is made from."""

_INIT = inspect.signature(Evaluator.__init__)
# help() and notebooks would show that of __new__, which names no option.
Evaluator.__signature__ = _INIT.replace(parameters=[*_INIT.parameters.values()][1:])
