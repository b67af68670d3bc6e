"""The pages of the front to log in, and to list and end sessions."""

import re

from flask import Response, request
from pydantic import Field, SecretStr

from common.pyportal_common.web import (
    Schema,
    clear_session_cookie,
    current_session,
    current_user_id,
    rate_limit,
    set_session_cookie,
)
from common.pyportal_common.web.pages import (
    FrontPages,
    allowed_target,
    done,
    given,
    read_query,
    see_other,
    show,
    url,
)

from ..factors.fields import MAX_CREDENTIAL, proof_in_form
from ..fields import CurrentPassword, LoginName
from ..services import services
from .routes import begin_session, end_planted_session
from .schemas import Credentials, SessionList, SessionSearch
from .service import Login

pages = FrontPages("sessions", __name__)

HOME = "/app/flights"

_PAGES = re.compile(r"(/[a-z0-9-]+)?/app(?!/log(in|out)/?$)(/|$)")
_REPEAT = "You are logged in again: please repeat what you were doing."


class LoginForm(Schema):
    """The form to log in. `next` is the page that it leads to.

    The code may be a backup code. The script of the page fills in the `passkey`.
    """

    name: LoginName
    password: CurrentPassword
    code: SecretStr = Field(SecretStr(""), max_length=40)
    passkey: str = Field("", max_length=MAX_CREDENTIAL)
    next: str = ""
    reason: str = ""

    def credentials(self) -> Credentials:
        """The body of POST /login."""
        name = "email" if "@" in self.name else "username"
        given = {name: self.name, "password": self.password}
        proof = proof_in_form(self.code.get_secret_value(), self.passkey)
        return Credentials.model_validate(given | proof)


@pages.page("/login", is_public=True)
def login_page() -> Response:
    """Show the form to log in."""
    return show(
        "login.html",
        next=given().get("next") or request.args.get("next", ""),
        reason=given().get("reason") or request.args.get("reason", ""),
    )


@pages.act("/login", form=LoginForm, again=login_page, is_public=True)
@rate_limit("login")
def log_in(form: LoginForm) -> Response:
    """Start a session. One that is sent with the form ends."""
    login = begin_session(form.credentials())
    end_planted_session()
    return enter(login, form)


@pages.page("/devices")
def device_list() -> Response:
    """Show the user's sessions."""
    current = current_session()
    search = read_query(SessionSearch)
    page = SessionList.of(services().sessions.list(current.user_id), search, current)
    return show("devices.html", page=page)


@pages.act("/devices/<public_id>/end", again=device_list)
def end_session(public_id: str) -> Response:
    """End one of the user's sessions."""
    current = current_session()
    found = services().sessions.find(current.user_id, public_id)
    if found is None or not services().sessions.end(found.session_id):
        return done(url("/app/devices"), "This session had ended already.")
    if found.session_id == current.session_id:
        response = done(url("/app/login"), "You are logged out.")
        clear_session_cookie(response)
        return response
    return done(url("/app/devices"), "The session has ended.")


@pages.act("/devices/end-others", again=device_list)
def end_others() -> Response:
    """End all sessions of the user but the current one."""
    services().sessions.end_all(current_user_id(), spare=current_session().session_id)
    return done(url("/app/devices"), "All other sessions have ended.")


def enter(login: Login, form: LoginForm) -> Response:
    """Start a session in the browser, and go on to the page that was wanted."""
    target = allowed_target(form.next, request.host_url, _PAGES) or url(HOME)
    response = done(target, _REPEAT) if form.reason == "act" else see_other(target)
    set_session_cookie(response, login.session)
    return response
