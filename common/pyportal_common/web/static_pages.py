"""Static HTML pages, among them /docs, which shows the API described by /openapi.json."""

import html
import json
from collections.abc import Mapping
from functools import cache
from importlib import resources

from flask import Blueprint, Flask, Response, request
from werkzeug.exceptions import NotFound

from ..cache_handlers import RateLimit
from .openapi import describe
from .responses import with_etag

_ASSETS = {".js": "text/javascript", ".css": "text/css"}


class StaticPages:
    """The HTML pages in `folder` of `package`, with their scripts and styles.

    `replacements` maps placeholders in the pages to text, which is escaped.
    """

    def __init__(
        self, package: str, folder: str, replacements: Mapping[str, str] | None = None
    ) -> None:
        self._files = resources.files(package).joinpath(folder)
        self._replacements = replacements or {}
        self._read = cache(lambda name: self._files.joinpath(name).read_bytes())

    def page(self, name: str) -> Response:
        """A page, by its file name."""
        text = self._read(name).decode("utf-8")
        for placeholder, value in self._replacements.items():
            text = text.replace(placeholder, html.escape(value))
        return html_page(text)

    def asset(self, name: str) -> Response:
        """A script or style, by its file name. Raises NotFound for every other name."""
        suffix = name[name.rfind(".") :]
        if suffix not in _ASSETS or not self._files.joinpath(name).is_file():
            raise NotFound
        return revalidated(Response(self._read(name), mimetype=_ASSETS[suffix]))


def docs_routes(
    app: Flask, title: str, introduction: str, rate_limits: Mapping[str, RateLimit]
) -> Blueprint:
    """The routes /openapi.json and /docs, for all routes of `app`."""
    routes = Blueprint("docs", __name__)
    pages = StaticPages(__package__ or "", "swagger", {"{{ title }}": f"{title} API"})

    @cache
    def document(root: str) -> str:
        return json.dumps(describe(app, title, introduction, rate_limits, root))

    @routes.get("/openapi.json")
    def openapi() -> Response:
        return revalidated(Response(document(request.script_root), mimetype="application/json"))

    @routes.get("/docs")
    def page() -> Response:
        return pages.page("index.html")

    @routes.get("/docs/<name>")
    def asset(name: str) -> Response:
        return pages.asset(name)

    return routes


def html_page(text: str) -> Response:
    """A page whose content security policy allows only its own scripts, styles and service."""
    response = revalidated(Response(text, mimetype="text/html"))
    restrict(response)
    return response


def restrict(response: Response, *, form_action: str = "'none'") -> None:
    """Allow a page only its own scripts, styles and service, and forms that are sent there."""
    response.headers["Content-Security-Policy"] = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        f"connect-src 'self'; base-uri 'none'; form-action {form_action}; frame-ancestors 'none'"
    )
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Content-Type-Options"] = "nosniff"


def revalidated(response: Response) -> Response:
    """Allow browsers to keep a response, and require them to revalidate it before each use."""
    response.headers["Cache-Control"] = "no-cache"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return with_etag(response)
