"""Request and response bodies of the routes for e-mail links."""

from common.pyportal_common.web import Schema, View

from ..fields import LinkToken


class Verification(Schema):
    """The body of POST /email/verify."""

    token: LinkToken


class Accepted(View):
    """A request that will be processed."""

    message: str
