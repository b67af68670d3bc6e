"""Flask-Session, used as its documents describe it."""
# mypy: disable-error-code="no-untyped-def, attr-defined"

from flask import session
from flask_session import Session
from redis import Redis

from tests.semantics.sessions import Sessions


class _Theirs(Sessions):
    def _set_up(self, app, url):
        app.config.update(SESSION_TYPE="redis", SESSION_REDIS=Redis.from_url(url))
        Session(app)

        @app.get("/login")
        def log_in():
            app.session_interface.regenerate(session)
            session["user"] = 7
            return "welcome"

        @app.get("/id")
        def show_id():
            return session.sid


behaviours = _Theirs()
