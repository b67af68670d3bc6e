"""The pages of the front to change a password, and to set a new one by a mailed link."""

from flask import Response

from common.pyportal_common.web import (
    clear_session_cookie,
    current_session,
    current_user_id,
    rate_limit,
    set_session_cookie,
)
from common.pyportal_common.web.pages import FrontPages, done, show, url

from ..services import services
from ..sessions.routes import require_step_up
from .schemas import ForgottenPassword, PasswordChange, PastedReset

pages = FrontPages("passwords", __name__)


@pages.page("/password")
def password_page() -> Response:
    """Show the form to change the password."""
    require_step_up(of_everybody=False)
    return show("password.html")


@pages.act("/password", form=PasswordChange, again=password_page)
def change_password(form: PasswordChange) -> Response:
    """Change the password, and end the user's other sessions."""
    require_step_up(of_everybody=False)
    renewed = services().passwords.change(form, current_session(), current_user_id())
    response = done(
        url("/app/profile"), "Your password is changed, and your other sessions have ended."
    )
    set_session_cookie(response, renewed)
    return response


@pages.page("/forgot", is_public=True)
def forgot_page() -> Response:
    """Show the form that requests a link."""
    return show("forgot.html")


@pages.act("/forgot", form=ForgottenPassword, again=forgot_page, is_public=True)
@rate_limit("forgot")
def forget_password(form: ForgottenPassword) -> Response:
    """Request a link, whether or not a user has the address."""
    services().passwords.request_reset(form.email)
    return done(url("/app/login"), "If a user has this address, a link has been sent to it.")


@pages.page("/reset", is_public=True)
def reset_page() -> Response:
    """Show the form of a link that sets a new password."""
    return show("reset.html")


@pages.act("/reset", form=PastedReset, again=reset_page, is_public=True)
@rate_limit("reset")
def reset(form: PastedReset) -> Response:
    """Set a new password by a link."""
    services().passwords.reset(form)
    return _logged_out("Your new password is set, and all your sessions have ended.")


@pages.page("/undo", is_public=True)
def undo_page() -> Response:
    """Show the form of a link that undoes the change of an e-mail address."""
    return show("undo.html")


@pages.act("/undo", form=PastedReset, again=undo_page, is_public=True)
@rate_limit("reset")
def undo(form: PastedReset) -> Response:
    """Restore an e-mail address by a link, and set a new password."""
    services().passwords.undo_email_change(form)
    return _logged_out("Your e-mail address is restored and your new password is set.")


def _logged_out(notice: str) -> Response:
    response = done(url("/app/login"), f"{notice} Log in with it.")
    clear_session_cookie(response)
    return response
