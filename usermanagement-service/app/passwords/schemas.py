"""Request and response bodies of the password routes."""

from common.pyportal_common.fields import Email
from common.pyportal_common.web import Schema

from ..fields import CurrentPassword, LinkToken, NewPassword, PastedLinkToken


class PasswordChange(Schema):
    """The body of PUT /users/{user_id}/password."""

    current_password: CurrentPassword
    new_password: NewPassword


class ForgottenPassword(Schema):
    """The body of POST /password/forgot."""

    email: Email


class PasswordReset(Schema):
    """The body of POST /password/reset and POST /email/undo."""

    token: LinkToken
    new_password: NewPassword


class PastedReset(PasswordReset):
    """The form that sets a new password by a link."""

    token: PastedLinkToken
