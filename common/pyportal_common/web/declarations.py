"""Declarations of routes: the hooks enforce them, and the OpenAPI document describes them."""

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal, TypeVar

from flask import Flask, Request
from pydantic import BaseModel
from werkzeug.routing import IntegerConverter, Rule

Route = TypeVar("Route", bound=Callable[..., Any])

SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}

PATH_PARAMETER = re.compile(
    r"<(?:(?P<converter>\w+)(?:\((?P<arguments>[^<>]*)\))?:)?(?P<name>\w+)>"
)

_ATTRIBUTE = "_operation"


class IdConverter(IntegerConverter):
    """`<id:user_id>` in a route: a SQL id of at most 18 digits, without leading zeros."""

    # The bound is in the pattern, not in `max`: with `max` a larger number is a 405 on some paths.
    regex = "[1-9][0-9]{0,17}"


def path_of(rule: Rule) -> str:
    """The path of a route as OpenAPI and metrics write it: /users/{user_id}."""
    return _path_of(rule.rule)


@cache
def _path_of(rule: str) -> str:
    return PATH_PARAMETER.sub(r"{\g<name>}", rule)


@dataclass(frozen=True, slots=True)
class Requirement:
    """Who may call a route. See `login_required` and `services_only`."""

    role: str | None = None
    fresh_within: float | None = None  # seconds
    allow_services: bool = False
    services_only: bool = False


@dataclass(frozen=True, slots=True)
class LimitSpec:
    """A rate limit of a route. See `rate_limit`."""

    name: str
    by: Literal["address", "user"]


@dataclass(frozen=True, slots=True)
class ReadSpec:
    """The cached value that a route reads. See `reads`."""

    key: Callable[..., str]
    by: Literal["path", "user"]


@dataclass(frozen=True, slots=True)
class ResponseSpec:
    """The successful response of a route, and its own errors. See `responses`."""

    model: type[BaseModel] | None
    status: int
    also: int | None
    problems: tuple[int, ...]
    headers: Mapping[str, str]
    media_type: str | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """Everything that one route declares."""

    requirement: Requirement | None = None
    limits: tuple[LimitSpec, ...] = ()
    reads: ReadSpec | None = None
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    max_bytes: int | None = None
    idempotent: bool = False
    compares_secrets: bool = False
    key_text: str | None = None
    conditional: bool = False
    long_poll: bool = False
    response: ResponseSpec | None = None


_UNDECLARED = Operation()


def operation_of(view: object) -> Operation:
    """The declarations of a view function; an empty Operation if it declares nothing."""
    declared: Operation = getattr(view, _ATTRIBUTE, _UNDECLARED)
    return declared


def operation_of_request(app: Flask, request: Request) -> Operation:
    """The declarations of a request's route."""
    return operation_of(app.view_functions.get(request.endpoint or ""))


class InvalidRead(Exception):
    """A route declares a cached value that cannot be read when a request is admitted."""


def check_read(rule: str, methods: Iterable[str], operation: Operation) -> None:
    """Raise InvalidRead if the route with this rule cannot read what it declares."""
    read, requirement = operation.reads, operation.requirement
    if read is None:
        return
    if requirement is None or requirement.services_only:
        raise InvalidRead(f"the route {rule} reads a value: add @login_required()")
    if not {*methods} <= SAFE_METHODS:
        raise InvalidRead(f"the route {rule} reads a value, so it must be for GET only")
    names = [found["name"] for found in PATH_PARAMETER.finditer(rule)]
    given = names if read.by == "path" else ["the user's id"]
    try:
        inspect.signature(read.key).bind(*given)
    except TypeError as error:
        raise InvalidRead(f"the route {rule} passes {given} to its key: {error}") from None


def declare(view: Route, **changes: Any) -> Route:
    """Add to the declarations of `view`, and return it."""
    setattr(view, _ATTRIBUTE, replace(operation_of(view), **changes))
    return view
