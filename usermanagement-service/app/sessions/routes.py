"""The session routes."""

from flask import Blueprint, Response, request

from common.pyportal_common.web import (
    body,
    clear_session_cookie,
    client_network,
    current_session,
    current_user_id,
    login_required,
    presented_session_id,
    rate_limit,
    refuse_foreign_origin,
    require_fresh_login,
    respond,
    responses,
    set_session_cookie,
)

from ..services import services
from .devices import coarse_network, device_of
from .schemas import (
    Credentials,
    LoggedIn,
    Reauthentication,
    RenewedSession,
    SessionExpiry,
    SessionView,
)
from .service import Login

routes = Blueprint("sessions", __name__)

FRESH_WITHIN = 300
"""Seconds after a login in which sensitive changes need no password."""


@routes.post("/login")
@rate_limit("login")
@body(Credentials)
@responses(LoggedIn, problems=[401, 403], headers={"Set-Cookie": "The session, for browsers."})
def log_in(body: Credentials) -> Response:
    """Log in and start a session.

    Users with a second factor send a `code`, of an authenticator app or a backup code, or a
    `passkey` that has signed a challenge of POST /passkeys/challenge. Whatever of this is wrong or
    missing gets the same response. Too many failures lock the name temporarily. A session that is
    sent with the request ends.
    """
    refuse_foreign_origin(request)
    login = begin_session(body)
    end_planted_session()
    response = respond(LoggedIn.of(login.session, login.user))
    set_session_cookie(response, login.session)
    return response


@routes.post("/logout")
@login_required()
@responses(status=204)
def log_out() -> Response:
    """Log out and end the current session in all services."""
    services().sessions.end(current_session().session_id)
    return logged_out()


@routes.get("/session")
@login_required()
@responses(SessionView)
def show_session() -> Response:
    """Show the current session."""
    return respond(SessionView.model_validate(current_session()))


@routes.post("/session/refresh")
@login_required()
@responses(SessionExpiry)
def refresh_session() -> Response:
    """Reset the idle timeout of the current session.

    Every other request with the session resets it too.
    """
    return respond(SessionExpiry.model_validate(current_session()))


@routes.post("/session/reauthenticate")
@login_required()
@rate_limit("login")
@body(Reauthentication)
@responses(
    RenewedSession,
    problems=[403, 404, 409],
    headers={"Set-Cookie": "The session under its new id, for browsers."},
)
def reauthenticate(body: Reauthentication) -> Response:
    """Authenticate again with the password, and with the second factor if the user has one.

    Required by routes that respond with a 401 and the challenge
    `error="insufficient_user_authentication"`. The session continues under a new id; the old one
    ends. Wrong passwords and factors count as failed logins.
    """
    renewed = services().passwords.reauthenticate(
        current_session(), current_user_id(), body.password, body
    )
    response = respond(RenewedSession.model_validate(renewed))
    set_session_cookie(response, renewed)
    return response


def begin_session(credentials: Credentials) -> Login:
    """Start a session for the device and the network of the request. Raises what `log_in` does."""
    address = request.remote_addr
    origin = {
        "device": device_of(request.headers.get("User-Agent")),
        "network": coarse_network(address),
    }
    return services().sessions.log_in(credentials, client_network(address), origin)


def end_planted_session() -> None:
    """End the session that the request was sent with, which an attacker may have planted."""
    session_id = presented_session_id(request)
    if session_id is not None:
        services().sessions.end(session_id)


def require_step_up(*, of_everybody: bool = True) -> None:
    """401 unless the login is fresh, and with the second factor if the user has one.

    Unless it is required `of_everybody`, users without a second factor need no fresh login.
    """
    has_factor = bool(services().factor_proofs.held(current_user_id()))
    if has_factor or of_everybody:
        require_fresh_login(current_session(), within=FRESH_WITHIN, with_second_factor=has_factor)


def logged_out() -> Response:
    """204, and the session cookie is removed from the browser."""
    response = Response(status=204)
    clear_session_cookie(response)
    return response
