"""The pages of the front to register, and about the user's profile."""

from typing import Any

from flask import Response

from common.pyportal_common.web import (
    clear_session_cookie,
    current_user_id,
    rate_limit,
    request_key,
)
from common.pyportal_common.web.pages import FrontPages, done, given, see_other, show, url
from common.pyportal_common.web.requests import validated

from ..services import services
from ..sessions.routes import FRESH_WITHIN, require_step_up
from .schemas import EmailChange, Registration, UserUpdate

pages = FrontPages("users", __name__)

_DETAILS = ("firstName", "lastName", "dateOfBirth")


@pages.page("/register", is_public=True)
def register_page() -> Response:
    """Show the form to register."""
    return show("register.html")


def _has_same_password(form: Registration, user_id: int) -> bool:
    return services().passwords.is_right(user_id, form.password)


@pages.act(
    "/register",
    form=Registration,
    again=register_page,
    is_public=True,
    once=True,
    same_secrets=_has_same_password,
)
@rate_limit("register")
def register(form: Registration) -> Response:
    """Register a user, who then logs in."""

    def registered(_user: dict[str, Any]) -> Response:
        return see_other(url("/app/login"))

    services().users.register(form, key=request_key(registered))
    return done(
        url("/app/login"),
        f"Welcome, {form.username}. Log in with your new password. A link that verifies your"
        " e-mail address has been sent to you.",
    )


@pages.page("/profile")
def profile_page() -> Response:
    """Show the user's profile, with forms to change it."""
    return show("profile.html", profile=services().users.find(current_user_id()).value)


@pages.act("/profile", again=profile_page)
def change_details() -> Response:
    """Change the user's names and date of birth. An empty field removes the value."""
    fields = {name: given().get(name) or None for name in _DETAILS if name in given().fields}
    services().users.change(current_user_id(), validated(UserUpdate, fields))
    return done(url("/app/profile"), "Your profile is changed.")


@pages.act("/profile/email", form=EmailChange, again=profile_page)
def change_email(form: EmailChange) -> Response:
    """Change the user's e-mail address, which is then to be verified."""
    require_step_up(of_everybody=False)
    user_id = current_user_id()
    epoch = services().passwords.confirm(user_id, form.password)
    services().users.change(user_id, validated(UserUpdate, {"email": form.email}), epoch=epoch)
    return done(url("/app/profile"), f"A link has been sent to {form.email}: it verifies it.")


@pages.page("/profile/delete", fresh_within=FRESH_WITHIN)
def confirm_deletion() -> Response:
    """Ask whether to delete the user."""
    require_step_up()
    return show("delete.html")


@pages.act("/profile/delete", again=confirm_deletion, fresh_within=FRESH_WITHIN)
def delete() -> Response:
    """Delete the user."""
    require_step_up()
    services().users.remove(current_user_id())
    response = done(url("/app/login"), "Your account is deleted.")
    clear_session_cookie(response)
    return response
