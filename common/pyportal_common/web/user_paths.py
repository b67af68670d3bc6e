"""The paths of a user: /users/{user_id}, and /users/me for the user of the session."""

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any

from flask import Blueprint

from .auth import current_session, current_user_id
from .declarations import Route, declare, operation_of
from .problem_types import CommonProblem
from .problems import Problem


def user_route(
    routes: Blueprint, method: str, path: str = "", *, me: str
) -> Callable[[Route], Route]:
    """Register a view of a user id under /users/{user_id} and, under the name `me`, /users/me.

    Other services have no user, so they cannot call the latter.
    """

    def register(view: Route) -> Route:
        routes.add_url_rule(f"/users/<id:user_id>{path}", view_func=view, methods=[method])
        routes.add_url_rule(f"/users/me{path}", me, _for_current_user(view), methods=[method])
        return view

    return register


def require_owner_or_admin(user_id: int) -> bool:
    """Whether the user is the current one. 403 for another, unless the current one is an admin."""
    session = current_session()
    is_own = user_id == session.user_id
    if not is_own and session.user_data.get("role") != "admin":
        raise Problem(CommonProblem.NOT_ALLOWED)
    return is_own


def _for_current_user(view: Route) -> Callable[..., Any]:
    @wraps(view)
    def call(**arguments: Any) -> Any:
        return view(user_id=current_user_id(), **arguments)

    call.__doc__ = f"{view.__doc__}\n\nThe user is that of the session."
    declared = operation_of(view)
    if declared.requirement is None:
        raise TypeError(f"{view.__name__} has no user: add @login_required()")
    requirement = replace(declared.requirement, allow_services=False)
    reads = replace(declared.reads, by="user") if declared.reads is not None else None
    return declare(call, requirement=requirement, reads=reads)
