"""The user routes."""

from typing import Any

from flask import Blueprint, Response, jsonify, make_response, url_for
from pydantic import SecretStr

from common.pyportal_common.cache_handlers import keys
from common.pyportal_common.web import (
    body,
    current_service,
    current_session,
    current_user_id,
    idempotent,
    login_required,
    query,
    rate_limit,
    reads,
    request_key,
    require_owner_or_admin,
    respond,
    respond_one,
    responses,
    user_route,
    with_next_link,
)

from ..services import services
from ..sessions.routes import FRESH_WITHIN, logged_out, require_step_up
from .schemas import Registered, Registration, UserEnvelope, UserList, UserSearch, UserUpdate

routes = Blueprint("users", __name__)


def _has_same_password(body: Registration, user_id: int) -> bool:
    return services().passwords.is_right(user_id, body.password)


@routes.post("/registerUser")
@rate_limit("register")
@body(Registration)
@idempotent(same_secrets=_has_same_password)
@responses(Registered, status=201, problems=[409], headers={"Location": "The path of the user."})
def register_user(body: Registration) -> Response:
    """Register a user.

    The user gets an e-mail with a link that verifies the address. The 409 for a taken username or
    e-mail address names each field that is taken.
    """
    return _registered(services().users.register(body, key=request_key(_registered)))


def _registered(user: dict[str, Any]) -> Response:
    location = url_for("users.show_user", user_id=user["id"])
    return make_response(jsonify(message="User registered", user=user), 201, {"Location": location})


@user_route(routes, "GET", me="show_me")
@login_required(allow_services=True)
@rate_limit("reads", by="user")
@reads(keys.user)
@responses(UserEnvelope, problems=[403, 404])
def show_user(user_id: int) -> Response:
    """Show a user.

    Users see themselves; admins and other services see every user.
    """
    if current_service() is None:
        require_owner_or_admin(user_id)
    return respond_one("user", services().users.find(user_id))


@routes.get("/users")
@login_required(role="admin")
@rate_limit("reads", by="user")
@query(UserSearch)
@responses(UserList)
def list_users(query: UserSearch) -> Response:
    """List the users, or find one by username or e-mail address.

    For admins. A list has pages; a search has at most one item.
    """
    if query.username or query.email:
        user = services().users.find_by_name(username=query.username, email=query.email)
        return jsonify(items=[user] if user else [], next=None)
    page = services().users.page(int(query.cursor), limit=query.limit)
    return with_next_link(respond(page), page.next)


@user_route(routes, "PATCH", me="change_me")
@login_required()
@body(UserUpdate)
@responses(UserEnvelope, problems=[403, 404, 409, 429])
def change_user(user_id: int, body: UserUpdate) -> Response:
    """Change a user.

    Users change themselves; admins change every user. Omitted fields stay unchanged; null removes
    a value. Changing `email` or another user requires the caller's password, or a login in the last
    five minutes; with a second factor always the latter. A new address is unverified until the link
    that is mailed to it is used. Wrong passwords count as failed logins.
    """
    is_own, epoch = require_owner_or_admin(user_id), None
    if "email" in body.model_fields_set or not is_own:
        epoch = _confirm_caller(body.password)
    user = services().users.change(user_id, body, epoch=epoch if is_own else None)
    return jsonify(user=user)


def _confirm_caller(password: SecretStr | None) -> int:
    """The auth epoch of the caller, whose login is fresh or whose password is right.

    For a caller with a second factor the password alone is not enough.
    """
    require_step_up(of_everybody=password is None)
    if password is not None:
        return services().passwords.confirm(current_user_id(), password)
    return current_session().auth_epoch


@user_route(routes, "DELETE", me="delete_me")
@login_required(fresh_within=FRESH_WITHIN)
@responses(status=204, problems=[403, 404])
def delete_user(user_id: int) -> Response:
    """Delete a user.

    Users delete themselves; admins delete every user. Requires a login in the last five minutes.
    All sessions of the user end, and the other services anonymise what they store about the user.
    """
    require_owner_or_admin(user_id)
    require_step_up()
    services().users.remove(user_id)
    return logged_out() if user_id == current_session().user_id else Response(status=204)
