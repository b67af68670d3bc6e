"""The pages that links in e-mails open. Opening one changes nothing; its form calls the API."""

from flask import Blueprint, Response

from common.pyportal_common.web import StaticPages

routes = Blueprint("pages", __name__, url_prefix="/account")

_pages = StaticPages(__package__ or "", "pages")


@routes.get("/verify")
def verify() -> Response:
    """Show the page that verifies an e-mail address."""
    return _pages.page("verify.html")


@routes.get("/reset")
def reset() -> Response:
    """Show the page that resets a password."""
    return _pages.page("reset.html")


@routes.get("/undo")
def undo() -> Response:
    """Show the page that undoes the change of an e-mail address."""
    return _pages.page("undo.html")


@routes.get("/keep")
def keep() -> Response:
    """Show the page that cancels the removal of second factors."""
    return _pages.page("keep.html")


@routes.get("/<name>")
def asset(name: str) -> Response:
    """Serve the script and the style of the pages."""
    return _pages.asset(name)
