"""The cookies of sessions in Redis, as SESSION_COOKIE_* say."""

from datetime import UTC, datetime
from typing import cast

from flask import Flask, Request, Response
from flask.sessions import SessionInterface, SessionMixin

from ..cache_handlers import (
    RedisPoolExhausted,
    RedisUnavailable,
    Session,
    SessionChanged,
    SessionStore,
)
from .session import PortalSession
from .session_of_request import keep_session

_MAX_ID_LENGTH = 200


class PortalSessionInterface(SessionInterface):
    """Sessions in Redis. The cookie has the session's id, 256 random bits."""

    def __init__(self, store: SessionStore) -> None:
        self._store = store

    def open_session(self, app: Flask, request: Request) -> PortalSession:
        """The session of a request. Sends nothing to Redis."""
        session_id = request.cookies.get(self.get_cookie_name(app))
        usable = session_id if session_id and len(session_id) <= _MAX_ID_LENGTH else None
        return keep_session(request, PortalSession(self._store, usable))

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Store what changed, and set or delete the cookie if it changed.

        If that fails, the response becomes the app's response to the error: it must not claim what
        was not stored.
        """
        session = cast("PortalSession", session)  # as open_session returned it
        try:
            session.save()
        except (RedisUnavailable, RedisPoolExhausted, SessionChanged) as error:
            _replace(response, app.make_response(app.handle_user_exception(error)))
        if session.accessed:
            response.vary.add("Cookie")
        change = session.cookie_change()
        if change == "delete":
            self._delete_cookie(app, response)
        elif change is not None:
            self._set_cookie(app, response, change, permanent=session.permanent)

    def _set_cookie(
        self, app: Flask, response: Response, session: Session, *, permanent: bool
    ) -> None:
        """The cookie of a permanent session expires with its absolute timeout."""
        longest = datetime.now(UTC) + app.permanent_session_lifetime
        response.set_cookie(
            self.get_cookie_name(app),
            session.session_id,
            expires=min(session.expires_at, longest) if permanent else None,
            domain=self.get_cookie_domain(app),
            path=self.get_cookie_path(app),
            secure=self.get_cookie_secure(app),
            httponly=self.get_cookie_httponly(app),
            samesite=self.get_cookie_samesite(app),
            partitioned=self.get_cookie_partitioned(app),
        )

    def _delete_cookie(self, app: Flask, response: Response) -> None:
        response.delete_cookie(
            self.get_cookie_name(app),
            domain=self.get_cookie_domain(app),
            path=self.get_cookie_path(app),
            secure=self.get_cookie_secure(app),
            httponly=self.get_cookie_httponly(app),
            samesite=self.get_cookie_samesite(app),
            partitioned=self.get_cookie_partitioned(app),
        )


def _replace(response: Response, other: Response) -> None:
    response.status = other.status
    response.headers.clear()
    response.headers.update(other.headers)
    response.set_data(other.get_data())
