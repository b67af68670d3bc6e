"""What a route declares of itself: hooks and wrappers enforce it, and OpenAPI tells it."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

from pydantic import BaseModel
from werkzeug.routing import IntegerConverter, Rule

Route = TypeVar("Route", bound=Callable[..., Any])

SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}

IN_PATHS = re.compile(r"<(?:(?P<converter>\w+)(?:\([^<>]*\))?:)?(?P<name>\w+)>")

_ATTRIBUTE = "_operation"


class IdConverter(IntegerConverter):
    """`<id:user_id>` in a route: an id as SQL gives them, of 18 digits and no leading zero."""

    # The bound is in here, not in `max`: a number above that would be a 405 on some paths.
    regex = "[1-9][0-9]{0,17}"


def path_of(rule: Rule) -> str:
    """The path of a route as OpenAPI and metrics write it: /users/{user_id}."""
    return IN_PATHS.sub(r"{\g<name>}", rule.rule)


@dataclass(frozen=True, slots=True)
class Requirement:
    """Whom a route lets through. See `login_required`."""

    role: str | None = None
    fresh_within: float | None = None
    services: Literal["too", "only"] | None = None


@dataclass(frozen=True, slots=True)
class Limit:
    """A rate limit of a route. See `rate_limit`."""

    name: str
    by: Literal["address", "user"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a route answers when all is well, and which errors are its own. See `answers`."""

    model: type[BaseModel] | None
    status: int
    also: int | None
    problems: tuple[int, ...]
    headers: Mapping[str, str]
    media_type: str | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """All that was declared of one route."""

    requirement: Requirement | None = None
    limits: tuple[Limit, ...] = ()
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    max_bytes: int | None = None
    idempotent: Literal["secret", "plain"] | None = None
    conditional: bool = False
    answer: Answer | None = None


_NOTHING = Operation()


def operation_of(view: object) -> Operation:
    """What was declared of a view function: nothing, for None too."""
    declared: Operation = getattr(view, _ATTRIBUTE, _NOTHING)
    return declared


def declare(view: Route, **changes: Any) -> Route:
    """Add to what is declared of `view`, and return it."""
    setattr(view, _ATTRIBUTE, replace(operation_of(view), **changes))
    return view


def answers(
    model: type[BaseModel] | None = None,
    *,
    status: int = 200,
    also: int | None = None,
    problems: Iterable[int] = (),
    headers: Mapping[str, str] | None = None,
    media_type: str | None = None,
) -> Callable[[Route], Route]:
    """Tell OpenAPI what a route answers: a body as `model` describes it, or none.

    `media_type` is that of a file, in place of a model. `also` is another status with the same
    body. `problems` are the statuses of its own errors; those that follow from the other
    declarations need no mention. `headers` are names and descriptions.
    """
    answer = Answer(model, status, also, tuple(problems), headers or {}, media_type)
    return lambda view: declare(view, answer=answer)
