"""The service's HTTP side: parse, call, answer."""

from dataclasses import dataclass

from flask import Blueprint, Response, current_app, jsonify

from common.pyportal_common.db import Database
from common.pyportal_common.web import Detail, Problem, body, problem_response, rate_limit

from . import users
from .errors import PasswordHashingBusy, UserAlreadyExists
from .passwords import Passwords
from .redis_helper import UserManagementRedisHelper
from .schemas import Registration

routes = Blueprint("users", __name__, url_prefix="/api/v1/airliner")


@dataclass(frozen=True)
class Collaborators:
    """What the routes work with; create_app makes it."""

    database: Database
    passwords: Passwords
    redis_helper: UserManagementRedisHelper


def _collaborators() -> Collaborators:
    collaborators: Collaborators = current_app.extensions["usermanagement"]
    return collaborators


@routes.post("/registerUser")
@rate_limit("register")
@body(Registration)
def register_user(body: Registration) -> tuple[Response, int, dict[str, str]]:
    """Create a user."""
    mine = _collaborators()
    user = users.register(
        body, database=mine.database, passwords=mine.passwords, redis_helper=mine.redis_helper
    )
    answer = jsonify(message="User registered", user=user)
    return answer, 201, {"Location": f"{routes.url_prefix}/users/{user['id']}"}


@routes.errorhandler(UserAlreadyExists)
def _taken(error: UserAlreadyExists) -> Response:
    details = [Detail(field, "is taken") for field in error.fields]
    return problem_response(Problem(409, "User already exists", details))


@routes.errorhandler(PasswordHashingBusy)
def _busy(_: PasswordHashingBusy) -> Response:
    return problem_response(Problem(503, "Too busy, try again", headers={"Retry-After": "2"}))
