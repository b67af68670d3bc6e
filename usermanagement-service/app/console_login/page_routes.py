"""/console/login: a form with a name, a password and a second factor."""

import re

from flask import Response, request
from pydantic import ConfigDict, Field

from common.pyportal_common.admin.console import Console, link
from common.pyportal_common.web import (
    rate_limit,
    set_session_cookie,
)
from common.pyportal_common.web.pages import (
    Filter,
    allowed_target,
    done,
    origin_of,
    read_filter,
    read_form,
    see_other,
)

from ..errors import InvalidCredentials
from ..factors.fields import MAX_CREDENTIAL, proof_in_form
from ..fields import CurrentPassword, LoginName
from ..services import services
from ..sessions.routes import begin_session, end_planted_session
from ..sessions.schemas import Credentials

CONSOLES = re.compile(r"(/[a-z0-9-]+)?/console(?!/login/?$)(/|$)")
_WRONG = "This name, password and second factor do not match."
_REPEAT = "The login was renewed: please repeat the act."
_NO_ADMIN = "Only admins may open the console. Your password is right, and you are not logged in."


class LoginQuery(Filter):
    """The query of the page. Another service that redirects here sends its address.

    Other fields are ignored: the page must never be a dead end. The `reason` is "old" for a login
    that is too old for a page, and "act" if it is for an act.
    """

    model_config = ConfigDict(extra="ignore")

    next: str = ""
    reason: str = ""


class LoginForm(Filter):
    """The form. The name may be an e-mail address or a username, the code a backup code.

    The script of the page fills in the `passkey`.
    """

    email: LoginName
    password: CurrentPassword
    code: str = Field("", max_length=40)
    passkey: str = Field("", max_length=MAX_CREDENTIAL)
    next: str = Field("", max_length=4000)
    reason: str = Field("", max_length=20)

    def credentials(self) -> Credentials:
        """The body of POST /login."""
        name = "email" if "@" in self.email else "username"
        given = {name: self.email, "password": self.password}
        return Credentials.model_validate(given | proof_in_form(self.code, self.passkey))


def add_login_page(console: Console) -> None:
    """Add the page to log in to the console of this service."""

    @console.routes.get("/login")
    def login_page() -> Response:
        query = read_filter(LoginQuery)
        return _show(console, query)

    @console.routes.post("/login")
    @rate_limit("login")
    def log_in() -> Response:
        form = read_form(LoginForm)
        try:
            login = begin_session(form.credentials())
        except InvalidCredentials:
            return _show(console, form, 401, message=_WRONG, email=form.email)
        if login.user.role != "admin":
            services().sessions.end(login.session.session_id)
            return _show(console, form, 403, message=_NO_ADMIN, email=form.email)
        end_planted_session()
        target = allowed_target(form.next, request.host_url, CONSOLES) or link("")
        response = done(target, _REPEAT) if form.reason == "act" else see_other(target)
        set_session_cookie(response, login.session)
        return response


def _show(
    console: Console, asked: LoginQuery | LoginForm, status: int = 200, **context: object
) -> Response:
    target = allowed_target(asked.next, request.host_url, CONSOLES) or ""
    leads_to, is_old = origin_of(target), asked.reason in ("old", "act")
    return console.show(
        "login.html",
        status,
        next=target,
        leads_to=leads_to,
        reason=asked.reason if is_old else "",
        is_old=is_old,
        **context,
    )
