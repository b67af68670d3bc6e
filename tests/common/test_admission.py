"""Sessions and rate limits in one round trip."""

import pytest

from common.pyportal_common.cache_handlers import (
    Admission,
    Charge,
    Charges,
    Limiter,
    RateLimit,
    RedisClient,
    SessionStore,
    UserId,
    keys,
)
from common.pyportal_common.redis_server import RedisServer

from .conftest import ON_SERVERS
from .load import Connect
from .round_trips import round_trips

PER_MINUTE = RateLimit("per-minute", 5, 60)
PER_HOUR = RateLimit("per-hour", 100, 3600)
OWN = RateLimit("own", 3, 60)


def with_own(*charges: Charge) -> Charges:
    """The charges, and with a session one of its user."""
    return lambda user_id: [*charges, *([Charge(OWN, keys.user(user_id))] if user_id else [])]


@ON_SERVERS
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
        result = admission.admit(session.session_id, with_own(*charges))

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
            admission.admit(session.session_id, with_own(Charge(PER_MINUTE, "a")))
        client.expire(f"session:{session.session_id}", 10)

        refused = admission.admit(session.session_id, with_own(Charge(PER_MINUTE, "a")))

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
            result = admission.admit("unknown", with_own(Charge(PER_MINUTE, "a")))
            assert result.session is None
            assert result.allowed

        assert not admission.admit("unknown", with_own(Charge(PER_MINUTE, "a"))).allowed
        assert list(client.scan("rate_limit:test:user:*")) == []

    def test_a_session_id_that_now_belongs_to_another_user_is_charged_to_that_user(
        self, admission: Admission, sessions: SessionStore, client: RedisClient
    ) -> None:
        sessions.create(7, {}, session_id="chosen")
        admission.admit("chosen", with_own())
        sessions.create(8, {}, session_id="chosen", replace_existing=True)

        result = admission.admit("chosen", with_own())

        assert result.session is not None
        assert result.session.user_id == 8
        assert result.decision is not None
        assert result.decision.remaining == 2
        assert client.exists("rate_limit:test:user:8") == 1

    @pytest.mark.usefixtures("own_commands_only")
    @pytest.mark.parametrize("planted", [None, "no session"])
    def test_a_session_that_has_ended_is_charged_as_nobody(
        self, admission: Admission, sessions: SessionStore, client: RedisClient, planted: str | None
    ) -> None:
        def charges(user_id: UserId | None) -> list[Charge]:
            return [Charge(OWN, "nobody" if user_id is None else keys.user(user_id))]

        session = sessions.create(7, {})
        admission.admit(session.session_id, charges)
        sessions.revoke(session.session_id)
        if planted is not None:
            client.set(keys.session(session.session_id), planted, ttl=60)

        result = admission.admit(session.session_id, charges)

        assert result.session is None
        assert sorted(client.scan("rate_limit:*")) == [
            "rate_limit:test:nobody", "rate_limit:test:user:7"
        ]  # fmt: skip
        assert result.decision is not None
        assert result.decision.remaining == 2
        trips = round_trips(client, lambda: admission.admit(session.session_id, charges))
        assert trips == (1 if planted is None else 2)

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
