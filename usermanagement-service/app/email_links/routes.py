"""The routes that verify e-mail addresses, and undo their changes."""

from flask import Blueprint, Response

from common.pyportal_common.web import (
    body,
    current_user_id,
    login_required,
    rate_limit,
    respond,
    responses,
)

from ..passwords.schemas import PasswordReset
from ..services import services
from .schemas import Accepted, Verification

routes = Blueprint("email", __name__)


@routes.post("/email/verify")
@body(Verification)
@responses(status=204, problems=[400])
def verify_email(body: Verification) -> Response:
    """Verify an e-mail address with the token of a mailed link.

    Wrong, used and expired tokens get the same response, as does the token of an address that has
    changed since.
    """
    services().email_links.verify(body.token.get_secret_value())
    return Response(status=204)


@routes.post("/email/undo")
@rate_limit("reset")
@body(PasswordReset)
@responses(status=204, problems=[400, 409])
def undo_email_change(body: PasswordReset) -> Response:
    """Restore an e-mail address with the token of a link that was mailed when it changed.

    A new password is set and all sessions of the user end, because whoever changed the address may
    know the password. The links of later changes stop working. Wrong, used and expired tokens get
    the same response. While another user has the address, the response is a 409 and the token stays
    valid.
    """
    services().passwords.undo_email_change(body)
    return Response(status=204)


@routes.post("/email/verification")
@login_required()
@rate_limit("verification", by="user")
@responses(Accepted, status=202, problems=[403, 404, 409])
def send_verification() -> Response:
    """Send a new link that verifies the current user's e-mail address.

    Earlier links stop working.
    """
    services().email_links.send_verification(current_user_id())
    return respond(Accepted(message="A link has been sent"), 202)
