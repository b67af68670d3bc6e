"""Sessions and rate limits in one round trip: by `Admission`, and on routes."""

from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask, Response, jsonify
from flask.testing import FlaskClient

from common.pyportal_common.cache_handlers import (
    Admission,
    Cache,
    Charge,
    Limiter,
    Policy,
    RateLimit,
    RedisClient,
    SessionStore,
)
from common.pyportal_common.redis_server import RedisServer
from common.pyportal_common.settings import ServiceSettings
from common.pyportal_common.web import create_service, current_session, login_required
from common.pyportal_common.web import rate_limit as limited

Connect = Callable[..., RedisClient]

PER_MINUTE = RateLimit("per-minute", 5, 60)
PER_HOUR = RateLimit("per-hour", 100, 3600)
OWN = RateLimit("own", 3, 60)


class TestAdmission:
    @pytest.fixture
    def sessions(self, client: RedisClient) -> SessionStore:
        return SessionStore(client)

    @pytest.fixture
    def admission(self, client: RedisClient, sessions: SessionStore) -> Admission:
        return Admission(Limiter(client, service="test"), sessions)

    def test_it_loads_the_session_and_charges_every_limit(
        self, admission: Admission, sessions: SessionStore, client: RedisClient
    ) -> None:
        session = sessions.create(7, {"role": "user"}, idle_seconds=100)
        client.expire(f"session:{session.session_id}", 10)

        charges = [Charge(PER_MINUTE, "10.0.0.1"), Charge(PER_HOUR, "10.0.0.1")]
        result = admission.admit(session.session_id, charges, [OWN])

        assert result.allowed
        assert result.session is not None
        assert result.session.user_data == {"role": "user"}
        assert client.ttl(f"session:{session.session_id}") > 90  # its idle timeout was reset
        assert result.decision is not None
        assert (result.decision.rate_limit, result.decision.remaining) == ("own", 2)
        assert set(client.hgetall("rate_limit:test:10.0.0.1")) == {"per-minute/60", "per-hour/3600"}
        assert set(client.hgetall("rate_limit:test:user:7")) == {"own/60"}

    def test_a_refused_request_is_charged_to_no_limit_and_does_not_touch_the_session(
        self, admission: Admission, sessions: SessionStore, client: RedisClient
    ) -> None:
        session = sessions.create(7, {}, idle_seconds=100)
        for _ in range(3):
            admission.admit(session.session_id, [Charge(PER_MINUTE, "a")], [OWN])
        client.expire(f"session:{session.session_id}", 10)

        refused = admission.admit(session.session_id, [Charge(PER_MINUTE, "a")], [OWN])

        assert not refused.allowed
        assert refused.decision is not None
        assert refused.decision.rate_limit == "own"
        assert client.ttl(f"session:{session.session_id}") <= 10
        elsewhere = admission.admit(session.session_id, [Charge(PER_MINUTE, "a")])
        assert elsewhere.decision is not None
        assert elsewhere.decision.remaining == 1  # five minus three minus this one

    def test_limits_of_an_address_apply_without_a_session(
        self, admission: Admission, client: RedisClient
    ) -> None:
        for _ in range(5):
            result = admission.admit("unknown", [Charge(PER_MINUTE, "a")], [OWN])
            assert result.session is None
            assert result.allowed

        assert not admission.admit("unknown", [Charge(PER_MINUTE, "a")], [OWN]).allowed
        assert list(client.scan("rate_limit:test:user:*")) == []

    def test_a_session_id_that_now_belongs_to_another_user_is_charged_to_that_user(
        self, admission: Admission, sessions: SessionStore, client: RedisClient
    ) -> None:
        sessions.create(7, {}, session_id="chosen")
        admission.admit("chosen", [], [OWN])
        sessions.create(8, {}, session_id="chosen", replace_existing=True)

        result = admission.admit("chosen", [], [OWN])

        assert result.session is not None
        assert result.session.user_id == 8
        assert result.decision is not None
        assert result.decision.remaining == 2
        assert client.exists("rate_limit:test:user:8") == 1

    def test_a_decision_can_be_refunded(self, admission: Admission, client: RedisClient) -> None:
        result = admission.admit("unknown", [Charge(PER_MINUTE, "a")])
        assert result.decision is not None

        Limiter(client, service="test").refund(result.decision)

        assert client.hgetall("rate_limit:test:a") == {}


def test_a_limiter_on_another_server_is_refused(
    redis_server: RedisServer, connect: Connect
) -> None:
    sessions = SessionStore(connect(redis_server))
    limiter = Limiter(connect(redis_server), service="test")

    with pytest.raises(ValueError, match="client of the sessions"):
        Admission(limiter, sessions)


class Limits(ServiceSettings):
    """Three policies."""

    rate_limit_address: RateLimit = RateLimit("address", 100, 60)
    rate_limit_user: RateLimit = RateLimit("user", 3, 60)
    rate_limit_daily: RateLimit = RateLimit("daily", 1000, 86_400)


class TestRoutes:
    @pytest.fixture
    def app(
        self, redis_client: RedisClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Flask:
        monkeypatch.chdir(tmp_path)
        cache = Cache(redis_client)
        app = create_service(
            "test",
            Limits.load(),
            title="Test",
            redis_client=redis_client,
            sessions=SessionStore(redis_client),
        )

        @app.get("/mine")
        @limited("address")
        @limited("user", by="user")
        @limited("daily", by="user")
        @login_required()
        def mine() -> Response:
            return jsonify(user_id=current_session().user_id)

        @app.get("/cached")
        @limited("address")
        @limited("user", by="user")
        @limited("daily", by="user")
        @login_required()
        def cached() -> Response:
            return jsonify(cache.get_or_load("item:1", lambda: {"id": 1}, Policy(ttl=60)))

        return app

    @pytest.fixture
    def client(self, app: Flask) -> FlaskClient:
        return app.test_client(use_cookies=False)

    def bearer(self, redis_client: RedisClient, user_id: int) -> dict[str, str]:
        session = SessionStore(redis_client).create(user_id, {})
        return {"Authorization": f"Bearer {session.session_id}"}

    def test_users_have_limits_of_their_own(
        self, client: FlaskClient, redis_client: RedisClient
    ) -> None:
        john, jane = self.bearer(redis_client, 7), self.bearer(redis_client, 8)

        statuses = [client.get("/mine", headers=john).status_code for _ in range(4)]
        hers = client.get("/mine", headers=jane)

        assert statuses == [200, 200, 200, 429]
        assert hers.status_code == 200
        assert hers.headers["X-RateLimit-Limit"] == "3"
        assert hers.headers["X-RateLimit-Remaining"] == "2"

    @pytest.mark.parametrize(("path", "trips"), [("/mine", 1), ("/cached", 2)])
    def test_all_of_it_is_one_round_trip_and_a_cached_value_another(
        self, client: FlaskClient, redis_client: RedisClient, path: str, trips: int
    ) -> None:
        def reads() -> int:
            info = redis_client.execute("INFO", "stats")
            return int(info["total_reads_processed"])

        headers = self.bearer(redis_client, 7)
        client.get(path, headers=headers)
        before = reads()
        client.get(path, headers=headers)

        assert reads() - before == trips + 1  # this INFO

    def test_without_a_session_the_address_is_limited(
        self, client: FlaskClient, redis_client: RedisClient
    ) -> None:
        answers = [client.get("/mine").status_code for _ in range(101)]

        assert answers == [401] * 100 + [429]
        assert list(redis_client.scan("rate_limit:test:user:*")) == []
