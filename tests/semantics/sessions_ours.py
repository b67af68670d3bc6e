"""`flask.session` of the extension."""
# mypy: disable-error-code="no-untyped-def, attr-defined"

from flask import session

from common.pyportal_common.extension import Portal
from tests.semantics.sessions import Sessions


class _Ours(Sessions):
    def _set_up(self, app, url):
        app.config.update(REDIS_URL=url, PORTAL_SESSION=True)
        portal = Portal(app)

        @app.get("/login")
        def log_in():
            portal.login(7)
            session["user"] = 7
            return "welcome"

        @app.get("/id")
        def show_id():
            return session.session_id


behaviours = _Ours()
