"""The password routes."""

from flask import Blueprint, Response

from common.pyportal_common.web import (
    CommonProblem,
    Problem,
    body,
    current_session,
    current_user_id,
    login_required,
    rate_limit,
    respond,
    responses,
    set_session_cookie,
    user_route,
)

from ..email_links.schemas import Accepted
from ..services import services
from ..sessions.routes import require_step_up
from ..sessions.schemas import RenewedSession
from .schemas import ForgottenPassword, PasswordChange, PasswordReset

routes = Blueprint("passwords", __name__)


@user_route(routes, "PUT", "/password", me="change_my_password")
@login_required()
@body(PasswordChange)
@responses(
    RenewedSession,
    problems=[403, 404, 409, 429],
    headers={"Set-Cookie": "The session under its new id, for browsers."},
)
def change_password(user_id: int, body: PasswordChange) -> Response:
    """Change your own password.

    The current session continues under a new id; all other sessions of the user end. Wrong
    passwords count as failed logins. Users with a second factor must have logged in within five
    minutes.
    """
    if user_id != current_user_id():
        raise Problem(CommonProblem.NOT_ALLOWED)
    require_step_up(of_everybody=False)
    renewed = services().passwords.change(body, current_session(), user_id)
    response = respond(RenewedSession.model_validate(renewed))
    set_session_cookie(response, renewed)
    return response


@routes.post("/password/forgot")
@rate_limit("forgot")
@body(ForgottenPassword)
@responses(Accepted, status=202)
def forget_password(body: ForgottenPassword) -> Response:
    """Request an e-mail with a link that resets the password.

    The response is the same, and takes the same time, whether or not a user has the address.
    Requests are also limited per submitted address.
    """
    services().passwords.request_reset(body.email)
    message = "If a user has this address, a link has been sent to it"
    return respond(Accepted(message=message), 202)


@routes.post("/password/reset")
@rate_limit("reset")
@body(PasswordReset)
@responses(status=204, problems=[400])
def reset_password(body: PasswordReset) -> Response:
    """Set a new password with the token of a mailed link.

    All sessions of the user end. Wrong, used and expired tokens get the same response. A refused
    password does not use up the token.
    """
    services().passwords.reset(body)
    return Response(status=204)
