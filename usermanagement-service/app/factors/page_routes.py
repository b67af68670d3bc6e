"""The pages of the front to show, add and remove second factors."""

from contextlib import suppress
from typing import Annotated

from flask import Response
from pydantic import BeforeValidator

from common.pyportal_common.fields import Flag
from common.pyportal_common.web import (
    current_session,
    current_user_id,
    rate_limit,
    set_session_cookie,
)
from common.pyportal_common.web.pages import FrontPages, done, show, url

from ..errors import FactorNotFound
from ..services import services
from ..sessions.routes import FRESH_WITHIN, require_step_up
from .additions import Addition
from .fields import Credential, credential_in_form
from .schemas import AppConfirmation, NewPasskey

pages = FrontPages("factors", __name__)

_GONE = "This second factor was removed already."


class AppForm(AppConfirmation):
    """The form that confirms an authenticator app."""

    end_other_sessions: Flag = False


class PasskeyForm(NewPasskey):
    """The form that adds a passkey, whose script fills in the credential."""

    credential: Annotated[Credential, BeforeValidator(credential_in_form)]
    end_other_sessions: Flag = False


@pages.page("/factors")
def factor_list() -> Response:
    """Show the user's second factors."""
    return show("factors.html", factors=services().factors.show(current_user_id()))


@pages.page("/factors/app", fresh_within=FRESH_WITHIN)
def app_page() -> Response:
    """Explain how an authenticator app is added."""
    require_step_up()
    return show("factor_app.html")


@pages.act("/factors/app", again=app_page, fresh_within=FRESH_WITHIN)
@rate_limit("factors", by="user")
def begin_app() -> Response:
    """Show the secret for an authenticator app, once, and the form that confirms it."""
    require_step_up()
    enrolment = services().factor_additions.begin_app(current_user_id(), current_session())
    return show("factor_app.html", enrolment=enrolment, confirms=True)


@pages.page("/factors/app/confirm", fresh_within=FRESH_WITHIN)
def confirmation_page() -> Response:
    """Show the form that confirms an authenticator app, without the secret."""
    require_step_up()
    return show("factor_app.html", confirms=True)


@pages.act("/factors/app/confirm", form=AppForm, again=confirmation_page, fresh_within=FRESH_WITHIN)
@rate_limit("factors", by="user")
def confirm_app(form: AppForm) -> Response:
    """Confirm an authenticator app with a code of it."""
    require_step_up()
    addition = services().factor_additions.confirm_app(
        current_user_id(), form.code, current_session(), end_others=form.end_other_sessions
    )
    return _finish(addition, "Your authenticator app is in use.")


@pages.act("/factors/app/remove", again=factor_list, fresh_within=FRESH_WITHIN)
@rate_limit("factors", by="user")
def remove_app() -> Response:
    """Remove the authenticator app."""
    require_step_up()
    try:
        services().factors.remove_app(current_user_id(), current_session())
    except FactorNotFound:
        return done(url("/app/factors"), _GONE)
    return done(url("/app/factors"), "The authenticator app is removed.")


@pages.page("/factors/passkeys", fresh_within=FRESH_WITHIN)
def passkey_page() -> Response:
    """Show the form that adds a passkey."""
    require_step_up()
    return show("factor_passkey.html")


@pages.act("/factors/passkeys", form=PasskeyForm, again=passkey_page, fresh_within=FRESH_WITHIN)
@rate_limit("factors", by="user")
def add_passkey(form: PasskeyForm) -> Response:
    """Add a passkey that the browser has made."""
    require_step_up()
    addition = services().factor_additions.add_passkey(current_user_id(), form, current_session())
    return _finish(addition, f"Your passkey {form.name} is in use.")


@pages.act("/factors/passkeys/<id:passkey_id>/remove", again=factor_list, fresh_within=FRESH_WITHIN)
@rate_limit("factors", by="user")
def remove_passkey(passkey_id: int) -> Response:
    """Remove a passkey."""
    require_step_up()
    try:
        services().factors.remove_passkey(current_user_id(), passkey_id, current_session())
    except FactorNotFound:
        return done(url("/app/factors"), _GONE)
    return done(url("/app/factors"), "The passkey is removed.")


@pages.act("/factors/codes", again=factor_list, fresh_within=FRESH_WITHIN)
@rate_limit("factors", by="user")
def renew_codes() -> Response:
    """Replace the backup codes, and show the new ones once."""
    require_step_up()
    codes = services().factors.renew_backup_codes(current_user_id(), current_session())
    return show("backup_codes.html", codes=codes)


@pages.act("/factors/keep", again=factor_list)
def keep() -> Response:
    """Cancel the removal of the factors that an admin has requested."""
    with suppress(FactorNotFound):  # it was cancelled before, by another click or a link
        services().factor_removals.cancel(current_user_id())
    return done(url("/app/factors"), "Your second factors stay.")


def _finish(addition: Addition, text: str) -> Response:
    """Go on in the session under its new id. The first factor brings backup codes."""
    if addition.backup_codes is None:
        response = done(url("/app/factors"), text)
    else:
        response = show("backup_codes.html", codes=addition.backup_codes, added=text)
    set_session_cookie(response, addition.session)
    return response
