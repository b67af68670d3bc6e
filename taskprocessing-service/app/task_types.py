"""What kinds of tasks there are: a model of its parameters for each, and what does it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from common.pyportal_common.jobs import Run
from common.pyportal_common.web import Schema

from .models import Task

Parameters = TypeVar("Parameters", bound=Schema)
Work = TypeVar("Work")  # what the functions work with

_OF_UNKNOWN = 60.0  # seconds


@dataclass(frozen=True)
class TaskType(Generic[Parameters]):
    """One kind. `do` ends by `run.finish`, or raises JobFailed."""

    name: str
    parameters: type[Parameters]
    do: Callable[[Run[Task], Parameters, Any], None]
    time_limit_seconds: float


class TaskTypes:
    """All kinds, by name."""

    def __init__(self) -> None:
        self._types: dict[str, TaskType[Any]] = {}

    def __getitem__(self, name: str) -> TaskType[Any]:
        return self._types[name]

    def __contains__(self, name: object) -> bool:
        return name in self._types

    def __iter__(self) -> Iterator[TaskType[Any]]:
        return iter(self._types.values())

    def time_limit(self, task: Task) -> float:
        """Seconds that an attempt at it may take, whatever kind an older version made it."""
        known = self._types.get(task.task_type)
        return known.time_limit_seconds if known is not None else _OF_UNKNOWN

    def register(
        self, name: str, parameters: type[Parameters], *, time_limit_seconds: float
    ) -> Callable[
        [Callable[[Run[Task], Parameters, Any], None]],
        Callable[[Run[Task], Parameters, Any], None],
    ]:
        """A decorator for the function that does tasks of this kind.

        It gets the attempt, the parameters, and what the service works with. It may be called
        again for a task whose worker died: all that it does in SQL is to happen in `run.step` and
        `run.finish`.
        """

        def add(
            do: Callable[[Run[Task], Parameters, Any], None],
        ) -> Callable[[Run[Task], Parameters, Any], None]:
            self._types[name] = TaskType(name, parameters, do, time_limit_seconds)
            return do

        return add


TASK_TYPES = TaskTypes()
