"""Users over HTTP: parse, call, answer."""

from contextlib import nullcontext

from flask import Blueprint, Response, jsonify

from common.pyportal_common.web import (
    Problem,
    body,
    current_service,
    current_session,
    current_user_id,
    idempotent,
    login_required,
    query,
    rate_limit,
    respond,
    responses,
    set_session_cookie,
)

from . import new_passwords, users
from .context import PREFIX, confirmation, require_owner_or_admin, services
from .schemas import (
    PasswordChange,
    Registered,
    Registration,
    RenewedSession,
    UserEnvelope,
    UserList,
    UserSearch,
    UserUpdate,
)
from .session_routes import no_session

routes = Blueprint("users", __name__, url_prefix=PREFIX)

_PAGE = 50  # users


@routes.post("/registerUser")
@rate_limit("register")
@idempotent
@body(Registration)
@responses(Registered, status=201, problems=[409], headers={"Location": "Where the user is."})
def register_user(body: Registration) -> tuple[Response, int, dict[str, str]]:
    """Create a user."""
    mine = services()
    user = users.register(
        body,
        database=mine.database,
        passwords=mine.passwords,
        redis_helper=mine.redis_helper,
        outbox=mine.outbox,
    )
    answer = jsonify(message="User registered", user=user)
    return answer, 201, {"Location": f"{PREFIX}/users/{user['id']}"}


@routes.get("/users/<id:user_id>")
@login_required(allow_services=True)
@responses(UserEnvelope, problems=[403, 404])
def show_user(user_id: int) -> Response:
    """A user: oneself, or any for an admin and for other services."""
    mine = services()
    if current_service() is None:
        require_owner_or_admin(user_id)
    return jsonify(user=users.find(user_id, database=mine.database, redis_helper=mine.redis_helper))


@routes.get("/users")
@login_required(role="admin")
@query(UserSearch)
@responses(UserList)
def list_users(query: UserSearch) -> Response:
    """For admins: the user of a name or an address, or pages of all."""
    mine = services()
    if query.username or query.email:
        found = users.find_by_name(
            username=query.username,
            email=query.email,
            database=mine.database,
            redis_helper=mine.redis_helper,
        )
        return jsonify(items=[found] if found else [], next=None)
    items, after = users.page(int(query.cursor), _PAGE, database=mine.database)
    return jsonify(items=items, next=None if after is None else str(after))


@routes.patch("/users/<id:user_id>")
@login_required()
@body(UserUpdate)
@responses(UserEnvelope, problems=[403, 404, 409, 429])
def change_user(user_id: int, body: UserUpdate) -> Response:
    """Change a user: oneself, or any for an admin.

    What is left out stays, null removes. A new e-mail address needs the password of who asks, and
    is unverified until the link is followed that goes to it.
    """
    mine = services()
    require_owner_or_admin(user_id)

    with confirmation() if "email" in body.model_fields_set else nullcontext():
        user = users.change(
            user_id,
            body,
            actor_id=current_user_id(),
            database=mine.database,
            passwords=mine.passwords,
            outbox=mine.outbox,
        )
    return jsonify(user=user)


@routes.put("/users/<id:user_id>/password")
@login_required()
@body(PasswordChange)
@responses(
    RenewedSession,
    problems=[403, 404, 409, 429],
    headers={"Set-Cookie": "The session under its new id, for browsers."},
)
def change_password(user_id: int, body: PasswordChange) -> Response:
    """Set one's own password. The current session goes on under a new id, the others end."""
    mine, session = services(), current_session()
    if user_id != current_user_id():
        raise Problem(403, "You may not do this")
    with confirmation():
        epoch = new_passwords.change_password(
            user_id,
            body,
            session_id=session.session_id,
            database=mine.database,
            passwords=mine.passwords,
            outbox=mine.outbox,
        )
        renewed = mine.sessions.rotate(session, auth_epoch=epoch)
    answer = respond(RenewedSession.model_validate(renewed))
    set_session_cookie(answer, renewed)
    return answer


@routes.delete("/users/<id:user_id>")
@login_required()
@responses(status=204, problems=[403, 404])
def delete_user(user_id: int) -> Response:
    """Delete a user: oneself, or any for an admin. All their sessions end, and the other services
    forget who they were.
    """
    mine = services()
    require_owner_or_admin(user_id)
    users.remove(user_id, database=mine.database, outbox=mine.outbox)
    return no_session() if user_id == current_session().user_id else Response(status=204)
