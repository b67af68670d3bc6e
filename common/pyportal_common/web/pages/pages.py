"""Pages that share a layout, a style and their files: those of the console and of the front."""

from typing import Any
from urllib.parse import quote, unquote, urlencode

from flask import Blueprint, Response, render_template, request

from ..auth import refuse_foreign_origin
from ..static_pages import StaticPages, restrict
from .errors import own_path, see_other
from .filters import FILTERS

STATIC = "/app/static"

_NOTICE = "__Host-notice"  # a cookie that only this host can set
_MAX_NOTICE = 300  # characters


def render(
    template: str, status: int = 200, *, form_action: str = "'self'", **context: Any
) -> Response:
    """A page. Its forms may lead to the origins of `form_action`, as a CSP names them."""
    is_part = "HX-Request" in request.headers
    notice = None if is_part else request.cookies.get(_NOTICE)
    text = render_template(
        template,
        notice=unquote(notice) if notice else None,
        static=static,
        page_path=page_path,
        here=own_path(request.path),
        **context,
    )
    response = Response(text, status, mimetype="text/html")
    response.headers["Cache-Control"] = "no-store"
    response.headers["Vary"] = "HX-Request"
    restrict(response, form_action=form_action)
    # Not no-referrer, with which browsers do not say which origin a form is of.
    response.headers["Referrer-Policy"] = "same-origin"
    if notice is not None:
        response.delete_cookie(_NOTICE, secure=True, httponly=True, samesite="Lax")
    return response


def done(back: str, notice: str) -> Response:
    """Go to another page, which shows the notice once."""
    response = see_other(back)
    text = quote(notice[:_MAX_NOTICE])
    response.set_cookie(_NOTICE, text, max_age=60, secure=True, httponly=True, samesite="Lax")
    return response


def refuse_other_origins() -> None:
    """Not even PUBLIC_URL and CORS_ORIGINS may act here: the forms of pages are their own."""
    refuse_foreign_origin(request, is_strict=True)


def page_files() -> Blueprint:
    """The templates, filters and files that all pages use."""
    routes = Blueprint("pages", __name__, url_prefix=STATIC, template_folder="templates")
    files = StaticPages(__package__ or "", "static")
    for name, function in FILTERS.items():
        routes.add_app_template_filter(function, name)

    @routes.get("/<name>")
    def file(name: str) -> Response:
        return files.asset(name)

    return routes


def static(name: str) -> str:
    """The path of a file of the pages."""
    return own_path(f"{STATIC}/{name}")


def page_path(**parameters: object) -> str:
    """The address of this page with other parameters. Those without a value are left out."""
    return with_query(own_path(request.path), **{**request.args, **parameters})


def with_query(path: str, /, **parameters: object) -> str:
    """A path with parameters. Those without a value are left out."""
    given = {name: value for name, value in parameters.items() if value not in (None, "")}
    return path + (f"?{urlencode(given)}" if given else "")
