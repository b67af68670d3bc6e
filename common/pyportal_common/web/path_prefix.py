"""A service below a path of an origin that it shares with others."""

from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment


class PathPrefix:
    """WSGI middleware that serves each path below `prefix`, too, as in /taskprocessing/docs.

    The prefix is moved to SCRIPT_NAME, so links in the response have it if the request had it. It
    comes from the configuration: a header such as X-Forwarded-Prefix could be the client's.
    """

    def __init__(self, app: WSGIApplication, prefix: str) -> None:
        self._app = app
        self._prefix = prefix

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path: str = environ["PATH_INFO"]
        if path == self._prefix or path.startswith(f"{self._prefix}/"):
            environ["SCRIPT_NAME"] = environ.get("SCRIPT_NAME", "") + self._prefix
            environ["PATH_INFO"] = path[len(self._prefix) :]
        return self._app(environ, start_response)
