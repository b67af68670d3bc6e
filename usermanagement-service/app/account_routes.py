"""Verified addresses and forgotten passwords over HTTP."""

from flask import Blueprint, Response

from common.pyportal_common.web import (
    answers,
    body,
    current_user_id,
    login_required,
    rate_limit,
    respond,
)

from . import verification
from .context import PREFIX, collaborators
from .schemas import Accepted, Verification

routes = Blueprint("account", __name__, url_prefix=PREFIX)


@routes.post("/email/verify")
@body(Verification)
@answers(status=204, problems=[400])
def verify_email(body: Verification) -> Response:
    """Verify an e-mail address, with the token of a link that was mailed to it.

    A token that is wrong, used or expired gets one answer, and so does one of an address that the
    user has changed.
    """
    verification.verify(body.token.get_secret_value(), database=collaborators().database)
    return Response(status=204)


@routes.post("/email/verification")
@login_required()
@rate_limit("verification", by="user")
@answers(Accepted, status=202, problems=[403, 404, 409])
def send_verification() -> Response:
    """Mail the user another link that verifies the address. The links before stop working."""
    mine = collaborators()
    verification.send_link(current_user_id(), database=mine.database, outbox=mine.outbox)
    return respond(Accepted(message="A link is on its way"), 202)
