"""What the pages of the console have in common: the guard, the layout, acts and notices."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import wraps
from typing import Any, TypeVar

from flask import Blueprint, Response, g
from werkzeug.exceptions import NotFound

from ...admin_settings import AdminSettings
from ...db import Actor
from ...extension.state import current_state
from ...web import (
    StaticPages,
    clear_session_cookie,
    current_actor,
    current_session,
    login_required,
)
from ...web.declarations import Route
from ...web.pages import (
    done,
    own_path,
    read_form,
    refuse_other_origins,
    render,
    see_other,
    with_query,
)
from ..guard import admins_only
from .errors import ReadOnly, error_handler, login_page
from .filters import FILTERS
from .forms import Form

PREFIX = "/console"

_F = TypeVar("_F", bound=Form)


@dataclass(frozen=True, slots=True)
class Link:
    """An entry of the navigation."""

    text: str
    path: str


@dataclass(frozen=True, slots=True)
class Part:
    """What an act has done, if that is not all: a page with a button continues it."""

    text: str


@dataclass(frozen=True, slots=True)
class Plan:
    """An act that waits for a confirmation. `act` does it, and returns what it has done."""

    question: str
    button: str
    act: Callable[[Actor], str | Part]
    back: str
    count: int | None = None
    """How many it changes. Nothing can be confirmed if it is 0; None if that is not known."""
    filter: Mapping[str, object] = field(default_factory=dict)
    explanation: str = ""
    asks: Mapping[str, str] = field(default_factory=dict)
    """Fields of the form that the confirmation asks for, with their labels."""


class Console:
    """The console of a service. Page modules add their routes to it."""

    def __init__(self, title: str, settings: AdminSettings, *, login_at: str = "") -> None:
        """`login_at` is the origin of the page to log in, if it is not this one."""
        self.title = title
        self.is_read_only = settings.console == "read"
        self.navigation: list[Link] = []
        self.others = [Link(*each) for each in settings.console_urls if each[0] != title]
        self.routes = Blueprint("console", __name__, url_prefix=PREFIX, template_folder="templates")
        self.routes.before_request(refuse_other_origins)
        self._form_action = f"'self' {login_at}".strip()
        self._admin = admins_only(settings)
        for name, function in FILTERS.items():
            self.routes.add_app_template_filter(function, name)
        self.routes.register_error_handler(Exception, error_handler(self.show, login_at))
        self._add_static_files()
        self._add_log_out(login_at)

    def page(self, rule: str, *, navigation: str | None = None) -> Callable[[Route], Route]:
        """Add a page for admins, and with `navigation` a link to it in the layout."""

        def add(view: Route) -> Route:
            self.routes.get(rule)(self._admin(view))
            if navigation is not None:
                self.navigation.append(Link(navigation, f"{PREFIX}{rule}"))
            return view

        return add

    def act(
        self, rule: str, form: type[_F]
    ) -> Callable[[Callable[..., Plan | Response]], Callable[..., Plan | Response]]:
        """Add an act: a POST, which shows the plan, and does it when it is confirmed.

        The view gets the form as its first argument. It may return a page instead of a plan: that
        of the form again, with what is wrong in it. In the mode "read" each POST is a 403.
        """

        def add(view: Callable[..., Plan | Response]) -> Callable[..., Plan | Response]:
            @wraps(view)
            def plan_or_act(**path: Any) -> Response:
                if self.is_read_only:
                    raise ReadOnly
                given = read_form(form)
                plan = view(given, **path)
                if isinstance(plan, Response):
                    return plan
                fields = given.pairs(plan.asks)
                if not given.confirmed or plan.count == 0:
                    return self.show("confirm.html", plan=plan, fields=fields)
                outcome = plan.act(current_actor())
                if isinstance(outcome, str):
                    return done(plan.back, outcome)
                plan = replace(plan, question=outcome.text, button="Continue")
                return self.show("confirm.html", plan=plan, fields=fields)

            self.routes.post(rule)(self._admin(plan_or_act))
            return view

        return add

    def show(
        self, template: str, status: int = 200, *, leads_to: str = "", **context: Any
    ) -> Response:
        """A page made of a template in the folder `templates/console`.

        `leads_to` is another origin that its form may redirect to.
        """
        return render(
            f"console/{template}",
            status,
            form_action=f"{self._form_action} {leads_to}".strip(),
            console=self,
            admin=_admin_name(),
            link=link,
            **context,
        )

    def add_unknown_pages(self) -> None:
        """Show a page for each other path, so that it looks like the rest."""

        @self.page("/<path:_name>")
        def unknown(_name: str) -> Response:
            raise NotFound

    def _add_static_files(self) -> None:
        files = StaticPages(__package__ or "", "static")

        @self.routes.get("/static/<name>")
        def static(name: str) -> Response:
            return files.asset(name)

    def _add_log_out(self, login_at: str) -> None:
        @self.routes.post("/logout")
        @login_required()
        def log_out() -> Response:
            current_state().sessions.revoke(current_session().session_id)
            response = see_other(login_page(login_at))
            clear_session_cookie(response)
            return response


def link(path: str, /, **parameters: object) -> str:
    """The address of a page of the console. Parameters without a value are left out."""
    return with_query(own_path(f"{PREFIX}{path}"), **parameters)


def _admin_name() -> str | None:
    """The name of the admin; None on pages for those who are not."""
    session = g.get("session")
    if session is None or session.user_data.get("role") != "admin":
        return None
    return str(session.user_data.get("username") or f"user {session.user_id}")
