"""Verified addresses and forgotten passwords over HTTP."""

from flask import Blueprint, Response

from common.pyportal_common.cache_handlers import Charge
from common.pyportal_common.web import (
    RateLimitExceeded,
    body,
    current_user_id,
    login_required,
    rate_limit,
    respond,
    responses,
)

from . import new_passwords, verification
from .context import PREFIX, services
from .schemas import Accepted, ForgottenPassword, PasswordReset, Verification

routes = Blueprint("account", __name__, url_prefix=PREFIX)


@routes.post("/email/verify")
@body(Verification)
@responses(status=204, problems=[400])
def verify_email(body: Verification) -> Response:
    """Verify an e-mail address, with the token of a link that was mailed to it.

    A token that is wrong, used or expired gets one answer, and so does one of an address that the
    user has changed.
    """
    verification.verify(body.token.get_secret_value(), database=services().database)
    return Response(status=204)


@routes.post("/email/verification")
@login_required()
@rate_limit("verification", by="user")
@responses(Accepted, status=202, problems=[403, 404, 409])
def send_verification() -> Response:
    """Mail the user another link that verifies the address. The links before stop working."""
    mine = services()
    verification.send_link(current_user_id(), database=mine.database, outbox=mine.outbox)
    return respond(Accepted(message="A link is on its way"), 202)


@routes.post("/password/forgot")
@rate_limit("forgot")
@body(ForgottenPassword)
@responses(Accepted, status=202)
def forget_password(body: ForgottenPassword) -> Response:
    """Have a link mailed that resets the password.

    Whether anybody has the address stays untold: by the answer, its time, and the limit, which
    counts for each address that is submitted.
    """
    mine = services()
    limit = Charge(mine.settings.rate_limit_forgot, f"email:{body.email.lower()}")
    decision = mine.limiter.hit(limit)
    if not decision.allowed:
        raise RateLimitExceeded(decision)
    new_passwords.ask_for_link(body.email, database=mine.database, outbox=mine.outbox)
    return respond(Accepted(message="If somebody has this address, a link is on its way"), 202)


@routes.post("/password/reset")
@rate_limit("reset")
@body(PasswordReset)
@responses(status=204, problems=[400])
def reset_password(body: PasswordReset) -> Response:
    """Set a new password, with the token of a link that was mailed. All sessions of the user end.

    A token that is wrong, used or expired gets one answer. A password that is refused does not use
    it up.
    """
    mine = services()
    new_passwords.reset_password(
        body, database=mine.database, passwords=mine.passwords, outbox=mine.outbox
    )
    return Response(status=204)
