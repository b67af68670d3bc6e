"""The session of a request, without loading it."""

from typing import cast

from flask import Request, request

from .session import PortalSession

_OF_REQUEST = "pyportal.session"  # in the environ: to read Flask's own attribute counts as access


def keep_session(request: Request, session: PortalSession) -> PortalSession:
    """Make a session that of a request."""
    request.environ[_OF_REQUEST] = session
    return session


def session_of(request: Request) -> PortalSession | None:
    """The session of a request; None if it is not one of the extension."""
    return cast("PortalSession | None", request.environ.get(_OF_REQUEST))


def portal_session() -> PortalSession:
    """The session of the current request. RuntimeError if it is not one of the extension."""
    session = session_of(request)
    if session is None:
        raise RuntimeError("the app does not keep sessions in Redis: set PORTAL_SESSION=True")
    return session
