"""The description of a service at /openapi.json, and a page to read and try it at /docs."""

import json
from functools import cache
from importlib import resources

from flask import Blueprint, Flask, Response
from werkzeug.exceptions import NotFound

from ..cache_handlers import RateLimit
from .openapi import describe
from .responses import with_etag

# The page runs its own two scripts and styles, and speaks to its own service.
_CONTENT_SECURITY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_FILES = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "page.js": "text/javascript",
}


def docs_routes(app: Flask, title: str, version: str, policies: dict[str, RateLimit]) -> Blueprint:
    """GET /openapi.json and /docs, of all routes that `app` will have when it serves."""
    routes = Blueprint("docs", __name__)

    @cache
    def description() -> str:
        return json.dumps(describe(app, title, version, policies))

    @routes.get("/openapi.json")
    def openapi() -> Response:
        return _cacheable(Response(description(), mimetype="application/json"))

    @routes.get("/docs")
    def page() -> Response:
        response = _cacheable(Response(_file("index.html"), mimetype="text/html"))
        response.headers["Content-Security-Policy"] = _CONTENT_SECURITY
        response.headers["Referrer-Policy"] = "no-referrer"
        return response

    @routes.get("/docs/<name>")
    def asset(name: str) -> Response:
        if name not in _FILES:
            raise NotFound
        return _cacheable(Response(_file(name), mimetype=_FILES[name]))

    return routes


@cache
def _file(name: str) -> bytes:
    return resources.files(__package__).joinpath("swagger", name).read_bytes()


def _cacheable(response: Response) -> Response:
    """Browsers may keep it, and ask each time whether it is still so."""
    response.headers["Cache-Control"] = "no-cache"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return with_etag(response)
