"""What Flask-Session documents, as requests to an app that keeps its sessions in Redis."""
# mypy: disable-error-code="no-untyped-def, no-untyped-call, union-attr"

import os
from datetime import UTC, datetime
from uuid import UUID

from flask import Flask, session
from redis import Redis

_URL = os.environ["REDIS_URL"]
_DEAD = "redis://127.0.0.1:1"


class Sessions:
    """The behaviours. A subclass says how an app keeps sessions, logs in and shows the id."""

    def _set_up(self, app, url):
        raise NotImplementedError

    def _app(self, url=_URL, **config):
        app = Flask("app")
        app.config.update(config)
        self._set_up(app, url)
        _add_views(app)
        return app

    def _stays(self, value):
        """What a value is after it was in the session."""
        app = self._app()

        @app.get("/put")
        def put():
            session["value"] = value
            return "put"

        @app.get("/type")
        def kind():
            return type(session["value"]).__name__

        client = app.test_client()
        return client.get("/type").text if client.get("/put").status_code == 200 else "an error"

    def entries_are_there_in_the_next_request(self):
        client = self._app().test_client()
        client.get("/set/name/ada")
        client.get("/set/city/Bern")
        return client.get("/all").json

    def clients_have_their_own_sessions(self):
        app = self._app()
        one, two = app.test_client(), app.test_client()
        one.get("/set/name/ada")
        two.get("/set/name/alan")
        return [one.get("/all").json, two.get("/all").json]

    def a_client_without_entries_gets_no_cookie(self):
        client = self._app().test_client()
        return [_cookie(client.get("/nothing")), _cookie(client.get("/all"))]

    def clearing_ends_the_session_and_its_cookie(self):
        client = self._app().test_client()
        client.get("/set/name/ada")
        client.get("/clear")
        with Redis.from_url(_URL) as redis:
            return [
                client.get("/all").json,
                _session_id(client),
                len(list(redis.scan_iter("session:*"))),
            ]

    def removing_the_last_entry_ends_the_session(self):
        client = self._app(SESSION_PERMANENT=False).test_client()
        client.get("/set/name/ada")
        client.get("/pop/name")
        return [client.get("/all").json, _session_id(client)]

    def a_change_within_a_list_is_stored(self):
        app = self._app()

        @app.get("/append")
        def append():
            session["items"].append("chair")
            return "appended"

        @app.get("/items")
        def items():
            session["items"] = ["lamp"]
            return "set"

        client = app.test_client()
        client.get("/items")
        client.get("/append")
        return client.get("/all").json

    def a_change_within_a_list_needs_modified_without_refresh(self):
        app = self._app(SESSION_REFRESH_EACH_REQUEST=False)

        @app.get("/append")
        def append():
            session["items"].append("chair")
            return "appended"

        @app.get("/items")
        def items():
            session["items"] = ["lamp"]
            return "set"

        client = app.test_client()
        client.get("/items")
        client.get("/append")
        return client.get("/all").json

    def the_cookie_is_as_the_app_configures_it(self):
        app = self._app(
            SESSION_PERMANENT=False,
            SESSION_COOKIE_NAME="session2",
            SESSION_COOKIE_SAMESITE="Strict",
            SESSION_COOKIE_SECURE=True,
            SESSION_COOKIE_PATH="/",
        )
        return _cookie(app.test_client().get("/set/name/ada"))

    def a_session_is_permanent_by_default(self):
        return "Expires" in _cookie(self._app().test_client().get("/set/name/ada"))

    def a_permanent_session_has_a_cookie_that_expires(self):
        return "Expires" in _cookie(self._app().test_client().get("/permanent"))

    def a_session_lasts_as_long_as_flask_says(self):
        self._app(PERMANENT_SESSION_LIFETIME=600).test_client().get("/set/name/ada")
        with Redis.from_url(_URL) as redis:
            return redis.ttl(_key_of(redis))

    def a_use_extends_the_session(self):
        client = self._app(
            PERMANENT_SESSION_LIFETIME=600, PORTAL_SESSION_IDLE_SECONDS=600
        ).test_client()
        client.get("/set/name/ada")
        with Redis.from_url(_URL) as redis:
            redis.expire(_key_of(redis), 100)
            client.get("/all")
            return redis.ttl(_key_of(redis)) > 500

    def an_id_that_a_client_chose_is_not_used(self):
        client = self._app().test_client()
        client.set_cookie("session", "chosen")
        client.get("/set/name/ada")
        return _session_id(client) == "chosen"

    def the_id_can_be_replaced(self):
        app = self._app()

        client, thief = app.test_client(), app.test_client()
        client.get("/set/name/ada")
        thief.set_cookie("session", _session_id(client))
        client.get("/login")
        return [client.get("/all").json, thief.get("/all").json]

    def setting_a_user_keeps_the_id(self):
        client = self._app().test_client()
        client.get("/set/name/ada")
        before = _session_id(client)
        client.get("/set/user/7")
        return _session_id(client) == before

    def the_view_can_read_the_id(self):
        app = self._app()

        client = app.test_client()
        client.get("/set/name/ada")
        return client.get("/id").text == _session_id(client)

    def a_tuple_becomes_a_list(self):
        return self._stays((1, 2))

    def a_datetime_stays_one(self):
        return self._stays(datetime(2026, 1, 1, tzinfo=UTC))

    def bytes_stay_bytes(self):
        return self._stays(b"abc")

    def a_uuid_becomes_a_text(self):
        return self._stays(UUID(int=1))

    def a_set_becomes_a_list(self):
        return self._stays({1})

    def an_object_of_a_class_fails(self):
        return self._stays(object())

    def responses_that_depend_on_the_session_vary_by_cookie(self):
        client = self._app().test_client()
        return [client.get(path).headers.get("Vary") for path in ("/set/name/ada", "/all")]

    def a_request_that_does_not_use_the_session_sends_its_cookie_again(self):
        client = self._app().test_client()
        client.get("/set/name/ada")
        return "Set-Cookie" in client.get("/nothing").headers

    def without_redis_every_request_fails(self):
        client = self._app(_DEAD).test_client()
        client.set_cookie("session", "x" * 43)
        return client.get("/nothing").status_code

    def without_redis_a_request_with_a_session_fails(self):
        client = self._app(_DEAD).test_client()
        client.set_cookie("session", "x" * 43)
        return client.get("/all").status_code

    def tests_can_open_the_session(self):
        client = self._app().test_client()
        with client.session_transaction() as opened:
            opened["name"] = "ada"
        return client.get("/all").json


def _add_views(app):
    @app.get("/all")
    def show_all():
        return {key: each for key, each in session.items() if not key.startswith("_")}

    @app.get("/set/<name>/<value>")
    def set_value(name, value):
        session[name] = value
        return "set"

    @app.get("/permanent")
    def permanent():
        session.permanent = True
        session["name"] = "ada"
        return "set"

    @app.get("/clear")
    def clear():
        session.clear()
        return "cleared"

    @app.get("/pop/<name>")
    def pop(name):
        session.pop(name)
        return "removed"

    @app.get("/nothing")
    def nothing():
        return "nothing"


def _cookie(response):
    """The cookie of a response: its attributes, without value and times."""
    parts = response.headers.get("Set-Cookie", "").split("; ")
    return sorted(
        part.split("=")[0] if part[:7] in {"session", "Expires"} else part for part in parts
    )


def _session_id(client, name="session"):
    cookie = client.get_cookie(name)
    return cookie.value if cookie else None


def _key_of(redis):
    """The key that holds the session."""
    return max((key for key in redis.scan_iter("session:*")), key=len)
