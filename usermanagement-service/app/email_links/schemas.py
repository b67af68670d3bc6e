"""Request and response bodies of the routes for e-mail links."""

from common.pyportal_common.web import Schema, View

from ..fields import LinkToken, PastedLinkToken


class Verification(Schema):
    """The body of POST /email/verify."""

    token: LinkToken


class PastedToken(Schema):
    """The form of a link."""

    token: PastedLinkToken


class Accepted(View):
    """A request that will be processed."""

    message: str
