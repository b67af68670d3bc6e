"""Shadow limits: they count, and report whom they would refuse, and refuse nothing."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from prometheus_client.parser import text_string_to_metric_families

from common.pyportal_common.cache_handlers import (
    Charge,
    Limiter,
    RateLimit,
    RedisClient,
    RedisPoolExhausted,
    RedisUnavailable,
    SessionStore,
)
from common.pyportal_common.cache_handlers.rate_limits.shadow_log import described
from common.pyportal_common.redis_server import RedisServer, free_port
from common.pyportal_common.settings import ServiceSettings
from common.pyportal_common.testing.kit import bearer
from common.pyportal_common.web import login_required, rate_limit, responses

from .conftest import ON_SERVERS
from .load import Connect, run_threads
from .test_rate_limits import Clock, redis_limiter

ENFORCED = RateLimit("enforced", 5, 60)
TRIED = RateLimit("tried", 2, 60, shadow=True)


def limited(limiter: Limiter, times: int, *limits: RateLimit) -> list[bool]:
    """Whether each of so many requests was allowed."""
    return [limiter.hit(*(Charge(each, "a") for each in limits)).allowed for _ in range(times)]


@ON_SERVERS
@pytest.mark.parametrize("counted_in", ["redis", "this process"])
class TestLimiter:
    @pytest.fixture
    def clock(self, client: RedisClient) -> Clock:
        return Clock(client)

    @pytest.fixture
    def limiter(
        self,
        client: RedisClient,
        clock: Clock,
        connect: Connect,
        tmp_path: Path,
        counted_in: str,
    ) -> Limiter:
        if counted_in == "redis":
            return redis_limiter(client)
        return Limiter(connect(RedisServer(tmp_path, tmp_path, port=free_port())), clock=clock)

    def test_it_refuses_nothing(self, limiter: Limiter) -> None:
        assert limited(limiter, 10, TRIED) == [True] * 10

    def test_it_reports_what_it_would_refuse_if_it_were_enforced(
        self, limiter: Limiter, clock: Clock
    ) -> None:
        """The requests that an enforced limit of the same rate refuses at the same times."""
        enforced = RateLimit("twin", 2, 60)
        for wait_ms in (0, 10_000, 10_000, 41_000, 1_000, 30_000, 60_000, 0, 0):
            clock.advance(wait_ms)

            tried, decided = (limiter.hit(Charge(each, each.name)) for each in (TRIED, enforced))

            assert bool(tried.over) is not decided.allowed

    def test_the_enforced_limits_of_the_request_refuse_as_without_it(
        self, limiter: Limiter
    ) -> None:
        assert limited(limiter, 7, TRIED, ENFORCED) == [True] * 5 + [False] * 2

    def test_a_refused_request_is_not_counted_by_a_shadow_limit(self, limiter: Limiter) -> None:
        wide = RateLimit("wide", 6, 60, shadow=True)
        limited(limiter, 7, wide, ENFORCED)

        assert [bool(limiter.hit(Charge(wide, "a")).over) for _ in range(2)] == [False, True]

    def test_the_state_in_a_decision_is_that_of_an_enforced_limit(self, limiter: Limiter) -> None:
        for _ in range(3):
            decision = limiter.hit(Charge(TRIED, "a"), Charge(ENFORCED, "a"))

        assert (decision.rate_limit, decision.remaining) == ("enforced", 2)
        assert decision.shadow is False

    def test_a_refund_is_exact_after_a_request_that_it_would_have_refused(
        self, limiter: Limiter
    ) -> None:
        limited(limiter, 2, TRIED)
        over = limiter.hit(Charge(TRIED, "a"), Charge(ENFORCED, "a"))
        limiter.refund(over)

        again = limiter.hit(Charge(TRIED, "a"), Charge(ENFORCED, "a"))
        assert [charge.rate_limit.name for charge in again.over] == ["tried"]
        assert again.remaining == 4

    def test_little_that_is_left_is_reported(self, limiter: Limiter) -> None:
        ten, hundred = RateLimit("ten", 10, 60), RateLimit("hundred", 100, 60)

        near = [limiter.hit(Charge(ten, "a"), Charge(hundred, "a")).near for _ in range(10)]

        assert [len(each) for each in near] == [0] * 8 + [1, 1]
        assert near[-1][0].rate_limit == ten


def test_a_rate_with_shadow_is_parsed() -> None:
    tried = ENFORCED.parse("10/60;shadow")

    assert (tried.limit, tried.window, tried.shadow, tried.rate) == (10, 60, True, "10/60;shadow")
    assert ENFORCED.parse(" 10/60 ; shadow ") == tried
    assert tried.parse("10/60").shadow is False


@pytest.mark.parametrize("text", ["10/60;", "10/60;off", "10/60 shadow", "shadow", "10;shadow/60"])
def test_other_endings_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="as in 5/60 or 5/60;shadow"):
        ENFORCED.parse(text)


def test_without_redis_a_closed_shadow_limit_refuses_nothing(
    connect: Connect, tmp_path: Path
) -> None:
    limiter = Limiter(connect(RedisServer(tmp_path, tmp_path, port=free_port())))
    tried = RateLimit("closed", 2, 60, "closed", shadow=True)

    assert limited(limiter, 5, tried) == [True] * 5
    with pytest.raises(RedisUnavailable):
        limiter.hit(Charge(RateLimit("closed", 2, 60, "closed"), "a"))


def test_an_exhausted_pool_refuses_nothing_for_a_shadow_limit(
    redis_server: RedisServer, connect: Connect
) -> None:
    limiter = Limiter(connect(redis_server, max_connections=1, pool_timeout=0.001))
    refused: list[RedisPoolExhausted] = []

    def hit() -> None:
        try:
            limited(limiter, 20, TRIED)
        except RedisPoolExhausted as error:
            refused.append(error)

    run_threads([hit] * 32)

    assert refused == []


class TestLog:
    @pytest.fixture
    def limiter(self, redis_client: RedisClient) -> Limiter:
        return Limiter(redis_client, clock=lambda: self.now)

    now = 0.0

    @pytest.fixture(autouse=True)
    def _level(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO)

    def lines(self, caplog: pytest.LogCaptureFixture) -> list[str]:
        return [each.getMessage() for each in caplog.records if "would refuse" in each.getMessage()]

    def test_it_says_who_would_be_refused_once_a_minute(
        self, limiter: Limiter, caplog: pytest.LogCaptureFixture
    ) -> None:
        for self.now in (0.0, 59.0, 60.0):
            for who in ("192.0.2.1", "user:7"):
                for _ in range(5):
                    limiter.hit(Charge(TRIED, who))

        assert (
            self.lines(caplog)
            == [
                "Rate limit tried would refuse 192.0.2.1: 2 in 60 s, shadow",
                "Rate limit tried would refuse user:7: 2 in 60 s, shadow",
            ]
            * 2
        )

    def test_a_flood_of_addresses_is_100_lines_a_minute(
        self, limiter: Limiter, caplog: pytest.LogCaptureFixture
    ) -> None:
        one = RateLimit("one", 1, 60, shadow=True)
        for number in range(150):
            for _ in range(2):
                limiter.hit(Charge(one, f"192.0.2.{number}"))

        assert len(self.lines(caplog)) == 100

    @pytest.mark.parametrize(
        "secret", ["name:my password", "email:john@example.com", "Bearer x", "a\nb", "\udcff"]
    )
    def test_what_a_client_has_typed_is_not_logged(
        self, limiter: Limiter, caplog: pytest.LogCaptureFixture, secret: str
    ) -> None:
        for _ in range(3):
            limiter.hit(Charge(TRIED, secret))

        [line] = self.lines(caplog)
        assert (secret.partition(":")[2] or secret) not in line
        assert "with digest" in line
        assert "\n" not in line

    @pytest.mark.parametrize("who", ["192.0.2.1", "2001:db8::/64", "user:7", "id:7"])
    def test_addresses_and_numbers_of_users_are_shown(self, who: str) -> None:
        assert described(who) == who


class Tried(ServiceSettings):
    rate_limit_address: RateLimit = RateLimit("address", 5, 60)
    rate_limit_user: RateLimit = RateLimit("user", 3, 60)


class TestRoutes:
    @pytest.fixture
    def app(self, make_service: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch) -> Flask:
        monkeypatch.setenv("RATE_LIMIT_USER", "2/60;shadow")
        app = make_service(Tried.load())

        @app.get("/both")
        @responses(None, status=204)
        @rate_limit("address")
        @rate_limit("user", by="user")
        @login_required()
        def both() -> str:
            return ""

        @app.get("/tried")
        @responses(None, status=204)
        @rate_limit("user", by="user")
        @login_required()
        def tried() -> str:
            return ""

        return app

    def test_it_is_counted_in_one_round_trip_and_not_shown_to_clients(
        self, app: Flask, redis_client: RedisClient
    ) -> None:
        client = app.test_client(use_cookies=False)
        headers = bearer(SessionStore(redis_client).create(7, {}).session_id)

        both = [client.get("/both", headers=headers) for _ in range(6)]
        tried = client.get("/tried", headers=headers)

        assert [each.status_code for each in both] == [200] * 5 + [429]
        assert {each.headers["X-RateLimit-Limit"] for each in both} == {"5"}
        assert tried.status_code == 200
        assert "X-RateLimit" not in str(tried.headers)

    def test_metrics_count_near_limits_and_what_would_be_refused(
        self, app: Flask, redis_client: RedisClient
    ) -> None:
        client = app.test_client(use_cookies=False)
        headers = bearer(SessionStore(redis_client).create(7, {}).session_id)
        for _ in range(6):
            client.get("/both", headers=headers)

        samples = {
            (found.name, *(value for _, value in sorted(found.labels.items()))): found.value
            for family in text_string_to_metric_families(client.get("/metrics").text)
            for found in family.samples
            if found.name in {"rate_limit_decisions_total", "rate_limit_near_total"}
        }
        assert samples == {
            ("rate_limit_decisions_total", "redis", "allowed", "address"): 5,
            ("rate_limit_decisions_total", "redis", "refused", "address"): 1,
            ("rate_limit_decisions_total", "redis", "allowed", "user"): 2,
            ("rate_limit_decisions_total", "redis", "would_refuse", "user"): 3,
            ("rate_limit_near_total", "address"): 1,
            ("rate_limit_near_total", "user"): 1,
        }

    def test_the_api_description_does_not_promise_a_shadow_limit(self, app: Flask) -> None:
        paths = app.test_client().get("/openapi.json").get_json()["paths"]

        assert "Limited to 5 requests" in paths["/both"]["get"]["description"]
        assert "Limited to" not in paths["/tried"]["get"].get("description", "")
