"""The routes of second factors."""

from flask import Blueprint, Response

from common.pyportal_common.db import Act
from common.pyportal_common.web import (
    body,
    current_actor,
    current_session,
    current_user_id,
    login_required,
    rate_limit,
    require_owner_or_admin,
    respond,
    responses,
    set_session_cookie,
    user_route,
)

from ..email_links.schemas import Verification
from ..services import services
from ..sessions.routes import FRESH_WITHIN, require_step_up
from ..sessions.schemas import RenewedSession
from .additions import Addition
from .schemas import (
    AppConfirmation,
    AppEnrolment,
    FactorAdded,
    FactorsView,
    NewBackupCodes,
    NewPasskey,
    PasskeyOptions,
    RemovalView,
)

routes = Blueprint("factors", __name__)


@routes.post("/passkeys/challenge")
@rate_limit("challenges")
@responses(PasskeyOptions)
def challenge_passkey() -> Response:
    """Request a challenge for a passkey to sign.

    For `passkey` in POST /login and POST /session/reauthenticate. It is for one attempt, within
    five minutes, whoever the user is.
    """
    return respond(PasskeyOptions(options=services().factor_proofs.challenge()))


@routes.get("/factors")
@login_required()
@responses(FactorsView)
def show_factors() -> Response:
    """Show the current user's second factors."""
    return respond(services().factors.show(current_user_id()))


@routes.post("/factors/app")
@login_required(fresh_within=FRESH_WITHIN)
@rate_limit("factors", by="user")
@responses(AppEnrolment, problems=[403, 404, 409])
def begin_app() -> Response:
    """Begin to add an authenticator app, or to replace it.

    The response has the secret for the app, also as a QR code. The app is in use when a code of it
    is confirmed within 15 minutes; an earlier one is until then. Requires a login in the last five
    minutes.
    """
    require_step_up()
    return respond(services().factor_additions.begin_app(current_user_id(), current_session()))


@routes.post("/factors/app/confirm")
@login_required(fresh_within=FRESH_WITHIN)
@rate_limit("factors", by="user")
@body(AppConfirmation)
@responses(
    FactorAdded,
    problems=[403, 404, 409],
    headers={"Set-Cookie": "The session under its new id, for browsers."},
)
def confirm_app(body: AppConfirmation) -> Response:
    """Confirm an authenticator app with a code of it.

    The session continues under a new id. The first second factor brings ten backup codes, which are
    shown only in this response. Requires a login in the last five minutes.
    """
    require_step_up()
    return _finish(
        services().factor_additions.confirm_app(
            current_user_id(),
            body.code,
            current_session(),
            end_others=body.end_other_sessions,
        )
    )


@routes.delete("/factors/app")
@login_required(fresh_within=FRESH_WITHIN)
@rate_limit("factors", by="user")
@responses(status=204, problems=[403, 404])
def remove_app() -> Response:
    """Remove the authenticator app.

    With the last second factor, the backup codes are deleted as well. Requires a login in the last
    five minutes.
    """
    require_step_up()
    services().factors.remove_app(current_user_id(), current_session())
    return Response(status=204)


@routes.post("/factors/passkeys/options")
@login_required(fresh_within=FRESH_WITHIN)
@rate_limit("factors", by="user")
@responses(PasskeyOptions, problems=[403, 404, 409])
def begin_passkey() -> Response:
    """Begin to add a passkey: request the options for the browser.

    They are for one attempt, within five minutes. Requires a login in the last five minutes.
    """
    require_step_up()
    options = services().factor_additions.begin_passkey(current_user_id(), current_session())
    return respond(PasskeyOptions(options=options))


@routes.post("/factors/passkeys")
@login_required(fresh_within=FRESH_WITHIN)
@rate_limit("factors", by="user")
@body(NewPasskey)
@responses(
    FactorAdded,
    problems=[403, 404, 409],
    headers={"Set-Cookie": "The session under its new id, for browsers."},
)
def add_passkey(body: NewPasskey) -> Response:
    """Add a passkey that the browser has made.

    The session continues under a new id. The first second factor brings ten backup codes, which are
    shown only in this response. Requires a login in the last five minutes.
    """
    require_step_up()
    return _finish(
        services().factor_additions.add_passkey(current_user_id(), body, current_session())
    )


@routes.delete("/factors/passkeys/<id:passkey_id>")
@login_required(fresh_within=FRESH_WITHIN)
@rate_limit("factors", by="user")
@responses(status=204, problems=[403, 404])
def remove_passkey(passkey_id: int) -> Response:
    """Remove a passkey.

    With the last second factor, the backup codes are deleted as well. Requires a login in the last
    five minutes.
    """
    require_step_up()
    services().factors.remove_passkey(current_user_id(), passkey_id, current_session())
    return Response(status=204)


@routes.post("/factors/backup-codes")
@login_required(fresh_within=FRESH_WITHIN)
@rate_limit("factors", by="user")
@responses(NewBackupCodes, problems=[403, 404, 409])
def renew_backup_codes() -> Response:
    """Replace the backup codes by ten new ones.

    They are shown only in this response. Requires a login in the last five minutes.
    """
    require_step_up()
    codes = services().factors.renew_backup_codes(current_user_id(), current_session())
    return respond(NewBackupCodes(backup_codes=codes))


@user_route(routes, "GET", "/factors", me="show_my_factors")
@login_required()
@responses(FactorsView, problems=[403, 404])
def show_user_factors(user_id: int) -> Response:
    """Show a user's second factors.

    Users see their own. Admins who have logged in within five minutes see everyone's; that is
    recorded.
    """
    if not require_owner_or_admin(user_id):
        _require_admin(user_id)
        act = Act("factors show", f"user={user_id}")
        services().audit.record_first(current_actor(), act)
    return respond(services().factors.show(user_id))


@routes.put("/users/<id:user_id>/factors/removal")
@login_required(role="admin", fresh_within=FRESH_WITHIN)
@responses(RemovalView, problems=[404, 409])
def request_removal(user_id: int) -> Response:
    """Request the removal of all second factors of a user who has lost them.

    For admins who have logged in within five minutes; that is recorded. The factors are removed and
    all sessions of the user end after FACTOR_REMOVAL_HOURS. The user is notified at once, with a
    link that cancels the removal.
    """
    _require_admin(user_id)
    removal = services().factor_removals.request(current_actor(), user_id)
    return respond(RemovalView.model_validate(removal))


@user_route(routes, "DELETE", "/factors/removal", me="cancel_my_removal")
@login_required()
@responses(status=204, problems=[403, 404])
def cancel_removal(user_id: int) -> Response:
    """Cancel the removal of a user's second factors.

    Users cancel their own; admins who have logged in within five minutes cancel everyone's, and
    that is recorded.
    """
    if require_owner_or_admin(user_id):
        services().factor_removals.cancel(user_id)
    else:
        _require_admin(user_id)
        services().factor_removals.cancel(user_id, current_actor())
    return Response(status=204)


@routes.post("/factors/keep")
@rate_limit("reset")
@body(Verification)
@responses(status=204, problems=[400])
def keep_factors(body: Verification) -> Response:
    """Cancel the removal of second factors with the token of a mailed link.

    Wrong, used and expired tokens get the same response.
    """
    services().factor_removals.cancel_by_link(body.token)
    return Response(status=204)


def _require_admin(user_id: int) -> None:
    """401 unless the login is fresh, 404 for nobody. The caller is an admin."""
    require_step_up()
    services().users.find(user_id)


def _finish(addition: Addition) -> Response:
    view = FactorAdded(
        session=RenewedSession.model_validate(addition.session), backup_codes=addition.backup_codes
    )
    response = respond(view)
    set_session_cookie(response, addition.session)
    return response
