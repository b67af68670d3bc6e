"""The pages that links in mails lead to. Each posts to the API what its user decides."""

from functools import cache
from importlib import resources

from flask import Blueprint, Response
from werkzeug.exceptions import NotFound

from common.pyportal_common.web.responses import with_etag

routes = Blueprint("pages", __name__, url_prefix="/account")

# The pages run their own script and style, and speak to their own service.
_CONTENT_SECURITY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_FILES = {"page.js": "text/javascript", "page.css": "text/css"}


@routes.get("/verify")
def verify() -> Response:
    """Where a link leads that verifies an address. Opening it verifies nothing."""
    return _page("verify.html")


@routes.get("/reset")
def reset() -> Response:
    """Where a link leads that resets a password."""
    return _page("reset.html")


@routes.get("/<name>")
def asset(name: str) -> Response:
    """What both pages are made of."""
    if name not in _FILES:
        raise NotFound
    return _revalidated(Response(_file(name), mimetype=_FILES[name]))


def _page(name: str) -> Response:
    response = _revalidated(Response(_file(name), mimetype="text/html"))
    response.headers["Content-Security-Policy"] = _CONTENT_SECURITY
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


def _revalidated(response: Response) -> Response:
    """Browsers may keep it, and ask each time whether it is still so."""
    response.headers["Cache-Control"] = "no-cache"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return with_etag(response)


@cache
def _file(name: str) -> bytes:
    return resources.files(__package__).joinpath("pages", name).read_bytes()
