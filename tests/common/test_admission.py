"""Sessions and limits in one round trip: by the gate, and on routes."""

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
    RedisUnavailable,
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


class TestGate:
    @pytest.fixture
    def sessions(self, client: RedisClient) -> SessionStore:
        return SessionStore(client)

    @pytest.fixture
    def gate(self, client: RedisClient, sessions: SessionStore) -> Admission:
        return Admission(Limiter(client, service="test"), sessions)

    def test_it_loads_the_session_and_spends_every_limit(
        self, gate: Admission, sessions: SessionStore, client: RedisClient
    ) -> None:
        session = sessions.create(7, {"role": "user"}, idle_seconds=100)
        client.expire(f"session:{session.session_id}", 10)

        charges = [Charge(PER_MINUTE, "10.0.0.1"), Charge(PER_HOUR, "10.0.0.1")]
        admission = gate.admit(session.session_id, charges, [OWN])

        assert admission.allowed
        assert admission.session is not None
        assert admission.session.user_data == {"role": "user"}
        assert client.ttl(f"session:{session.session_id}") > 90  # its idle time began anew
        assert admission.decision is not None
        assert (admission.decision.rate_limit, admission.decision.remaining) == ("own", 2)
        assert set(client.hgetall("rate_limit:test:10.0.0.1")) == {"per-minute/60", "per-hour/3600"}
        assert set(client.hgetall("rate_limit:test:user:7")) == {"own/60"}

    def test_what_one_limit_refuses_counts_for_none_and_is_no_use_of_the_session(
        self, gate: Admission, sessions: SessionStore, client: RedisClient
    ) -> None:
        session = sessions.create(7, {}, idle_seconds=100)
        for _ in range(3):
            gate.admit(session.session_id, [Charge(PER_MINUTE, "a")], [OWN])
        client.expire(f"session:{session.session_id}", 10)

        refused = gate.admit(session.session_id, [Charge(PER_MINUTE, "a")], [OWN])

        assert not refused.allowed
        assert refused.decision is not None
        assert refused.decision.rate_limit == "own"
        assert client.ttl(f"session:{session.session_id}") <= 10
        elsewhere = gate.admit(session.session_id, [Charge(PER_MINUTE, "a")])
        assert elsewhere.decision is not None
        assert elsewhere.decision.remaining == 1  # of five: three, and this one

    def test_limits_of_an_address_apply_without_a_session(
        self, gate: Admission, client: RedisClient
    ) -> None:
        for _ in range(5):
            admission = gate.admit("nobody's", [Charge(PER_MINUTE, "a")], [OWN])
            assert admission.session is None
            assert admission.allowed

        assert not gate.admit("nobody's", [Charge(PER_MINUTE, "a")], [OWN]).allowed
        assert list(client.scan("rate_limit:test:user:*")) == []

    def test_a_session_id_that_became_another_users_is_charged_to_them(
        self, gate: Admission, sessions: SessionStore, client: RedisClient
    ) -> None:
        sessions.create(7, {}, session_id="chosen")
        gate.admit("chosen", [], [OWN])
        sessions.create(8, {}, session_id="chosen", replace_existing=True)

        admission = gate.admit("chosen", [], [OWN])

        assert admission.session is not None
        assert admission.session.user_id == 8
        assert admission.decision is not None
        assert admission.decision.remaining == 2
        assert client.exists("rate_limit:test:user:8") == 1

    def test_a_decision_can_be_refunded(self, gate: Admission, client: RedisClient) -> None:
        admission = gate.admit("nobody's", [Charge(PER_MINUTE, "a")])
        assert admission.decision is not None

        Limiter(client, service="test").refund(admission.decision)

        assert client.hgetall("rate_limit:test:a") == {}


def test_sessions_elsewhere_take_another_trip(
    redis_server: RedisServer, own_redis: RedisServer, connect: Connect
) -> None:
    sessions = SessionStore(connect(own_redis))
    gate = Admission(Limiter(connect(redis_server), service="test"), sessions)
    session = sessions.create(7, {})

    decisions = [gate.admit(session.session_id, [Charge(PER_HOUR, "a")], [OWN]) for _ in range(4)]

    assert [admission.allowed for admission in decisions] == [True, True, True, False]
    assert decisions[0].session is not None


def test_in_an_outage_limits_are_counted_here_and_then_it_is_told(
    own_redis: RedisServer, connect: Connect
) -> None:
    client = connect(own_redis)
    gate = Admission(Limiter(client, service="test"), SessionStore(client))
    own_redis.kill()

    for _ in range(5):
        with pytest.raises(RedisUnavailable):
            gate.admit("somebody's", [Charge(PER_MINUTE, "a")])

    assert not gate.admit("somebody's", [Charge(PER_MINUTE, "a")]).allowed


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
