"""The front: the pages for users at /app, of which each service has its own."""

import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial, wraps
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, Flask, Response, current_app, g, request
from werkzeug.exceptions import NotFound

from ...extension.state import current_state
from ...settings import ServiceSettings
from ..auth import clear_session_cookie, current_session, login_required, presented_session_id
from ..declarations import Route
from ..idempotency import SameSecrets, respond_once
from ..requests import Schema
from .errors import own_path, see_other
from .front_errors import explained, respond_to
from .front_forms import KEY, Given, given
from .front_map import AREAS, FRONT, owner_of
from .pages import done, refuse_other_origins, render, with_query

PREFIX = "/app"


class FrontPages(Blueprint):
    """Pages of the front, as a module of a service declares them."""

    def __init__(self, name: str, import_name: str, **options: Any) -> None:
        super().__init__(f"app_{name}", import_name, url_prefix=PREFIX, **options)
        self.before_request(refuse_other_origins)
        self.register_error_handler(Exception, partial(respond_to, show, url))

    def page(
        self, rule: str, *, is_public: bool = False, fresh_within: float | None = None
    ) -> Callable[[Route], Route]:
        """Add a page. Unless it `is_public`, users log in first."""

        def add(view: Route) -> Route:
            self.get(rule)(_for_users(view, fresh_within, is_public=is_public))
            return view

        return add

    def act(
        self,
        rule: str,
        *,
        again: Callable[..., Response],
        form: type[Schema] | None = None,
        is_public: bool = False,
        fresh_within: float | None = None,
        once: bool = False,
        same_secrets: SameSecrets | None = None,
    ) -> Callable[[Route], Route]:
        """Add a POST of a form, which leads to another page. Its view gets the `form`, parsed.

        What is wrong with it is shown by the page `again`, which has the form. With `once`, the
        form has an idempotency key, and takes effect once however often it is sent.
        """

        def add(view: Route) -> Route:
            @wraps(view)
            def process(**path: Any) -> Response:
                g.given = Given.read()

                def attempt() -> Response:
                    parsed = None if form is None else given().parsed(form)
                    act = partial(view, **({} if parsed is None else {"form": parsed}), **path)
                    if not once:
                        return act()  # type: ignore[no-any-return]
                    key = str(given().get(KEY))
                    return respond_once(
                        key,
                        parsed,
                        lambda: explained(act, again, path),
                        same_secrets,
                        keeps_errors=False,  # their pages have headers of their own
                    )

                return explained(attempt, again, path)

            self.post(rule)(_for_users(process, fresh_within, is_public=is_public))
            return view

        return add


@dataclass(frozen=True, slots=True)
class _Front:
    """Where the pages of all services are, as one of them links to them and redirects forms."""

    urls: Mapping[str, str]
    """The URLs of the other services, by their titles."""
    form_action: str
    """The directive of the content security policy: where forms may lead."""


def register_front(
    app: Flask,
    settings: ServiceSettings,
    templates: Path,
    pages: Iterable[FrontPages],
    *,
    home: str,
) -> None:
    """Add the front to the app of a service.

    `templates` has the folder `app` with its templates. `home` is the page that /app leads to.
    """
    title = app.config["TITLE"]
    origins = sorted({_origin(url) for _, url in settings.app_urls})
    app.extensions[FRONT] = _Front(
        {name: url for name, url in settings.app_urls if name != title},
        " ".join(["'self'", *origins]),  # where forms may redirect to
    )
    for each in (*pages, _entrance(templates, home)):
        app.register_blueprint(each)


def show(template: str, status: int = 200, **context: Any) -> Response:
    """A page made of a template in the folder `app`. Its forms have what was sent with them.

    The status is 422 if what was sent is wrong.
    """
    status = 422 if given().is_faulty and status == 200 else status
    front: _Front = current_app.extensions[FRONT]
    return render(
        f"app/{template}",
        status,
        form_action=front.form_action,
        areas=AREAS,
        user=_user_name(),
        given=given(),
        new_key=secrets.token_urlsafe(16),
        url=url,
        **context,
    )


def url(path: str, /, **parameters: object) -> str:
    """The address of a page of the front, in whichever service it is."""
    front: _Front = current_app.extensions[FRONT]
    base = front.urls.get(owner_of(path))
    return with_query(f"{base}{path}" if base else own_path(path), **parameters)


def _entrance(templates: Path, home: str) -> FrontPages:
    """The page /app, the way out, and the pages that do not exist."""
    pages = FrontPages("entrance", __name__, template_folder=str(templates))

    @pages.page("", is_public=True)
    @pages.page("/", is_public=True)
    def enter() -> Response:
        has_session = presented_session_id(request) is not None
        return see_other(url(home if has_session else "/app/login"))

    @pages.act("/logout", again=enter, is_public=True)
    def log_out() -> Response:
        session_id = presented_session_id(request)
        if session_id is not None:
            current_state().sessions.revoke(session_id)
        response = done(url("/app/login"), "You are logged out.")
        clear_session_cookie(response)
        return response

    @pages.post("/<path:_name>")
    @pages.page("/<path:_name>", is_public=True)
    def unknown(_name: str) -> Response:
        raise NotFound

    return pages


def _for_users(view: Route, fresh_within: float | None, *, is_public: bool) -> Route:
    return view if is_public else login_required(fresh_within=fresh_within)(view)


def _user_name() -> str:
    """The name of the user; nothing on pages for everybody."""
    if "session" not in g:
        return ""
    session = current_session()
    return str(session.user_data.get("username") or f"user {session.user_id}")


def _origin(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"
