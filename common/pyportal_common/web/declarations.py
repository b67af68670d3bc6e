"""Declarations of routes: the hooks enforce them, and the OpenAPI document describes them."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal, TypeVar

from flask import current_app, request
from pydantic import BaseModel
from werkzeug.routing import IntegerConverter, Rule

Route = TypeVar("Route", bound=Callable[..., Any])

SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}

PATH_PARAMETER = re.compile(r"<(?:(?P<converter>\w+)(?:\([^<>]*\))?:)?(?P<name>\w+)>")

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
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    max_bytes: int | None = None
    idempotent: bool = False
    compares_secrets: bool = False
    conditional: bool = False
    response: ResponseSpec | None = None


_UNDECLARED = Operation()


def operation_of(view: object) -> Operation:
    """The declarations of a view function; an empty Operation if it declares nothing."""
    declared: Operation = getattr(view, _ATTRIBUTE, _UNDECLARED)
    return declared


def current_operation() -> Operation:
    """The declarations of the current request's route."""
    return operation_of(current_app.view_functions.get(request.endpoint or ""))


def declare(view: Route, **changes: Any) -> Route:
    """Add to the declarations of `view`, and return it."""
    setattr(view, _ATTRIBUTE, replace(operation_of(view), **changes))
    return view
