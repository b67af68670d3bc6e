"""What happens to the counts of a limit when its rate changes: they remain."""

from collections.abc import Sequence

import pytest

from common.pyportal_common.cache_handlers import Charge, Limiter, RateLimit, RedisClient
from common.pyportal_common.redis_server import RedisServer

from .load import start
from .test_rate_limits import Clock, redis_limiter
from .waiting import wait_until

DECLARED = RateLimit("login", 5, 60)
SECOND = 1_000_000  # µs


class TestCounts:
    @pytest.fixture
    def clock(self, redis_client: RedisClient) -> Clock:
        return Clock(redis_client)

    @pytest.fixture(params=["redis", "this process"])
    def limiter(
        self, request: pytest.FixtureRequest, redis_client: RedisClient, clock: Clock
    ) -> Limiter:
        limiter = redis_limiter(redis_client)
        if request.param == "this process":
            limiter.hit = lambda *charges: limiter._local.hit(charges)  # type: ignore[method-assign]
            limiter._local._clock = clock
        return limiter

    def admitted(self, limiter: Limiter, rate: str, times: int = 100) -> int:
        limit = DECLARED.parse(rate)
        return sum(limiter.hit(Charge(limit, "a")).allowed for _ in range(times))

    def test_a_raised_limit_admits_the_difference(self, limiter: Limiter) -> None:
        assert [self.admitted(limiter, rate) for rate in ("5/60", "8/60")] == [5, 3]

    def test_a_lowered_limit_waits_until_enough_have_expired(
        self, limiter: Limiter, clock: Clock
    ) -> None:
        for _ in range(5):
            self.admitted(limiter, "5/60", times=1)
            clock.advance(1000)

        decision = limiter.hit(Charge(DECLARED.parse("2/60"), "a"))
        assert (decision.allowed, decision.remaining, decision.retry_after) == (False, 0, 58)
        clock.advance(58_000)
        assert self.admitted(limiter, "2/60") == 1

    def test_a_shorter_window_counts_those_within_it(self, limiter: Limiter, clock: Clock) -> None:
        self.admitted(limiter, "5/60", times=3)
        clock.advance(10_001)
        self.admitted(limiter, "5/60", times=1)

        assert self.admitted(limiter, "5/10") == 4

    def test_a_longer_window_counts_those_of_the_former_one(
        self, limiter: Limiter, clock: Clock
    ) -> None:
        self.admitted(limiter, "5/60", times=3)
        clock.advance(59_000)

        assert self.admitted(limiter, "5/3600") == 2
        clock.advance(3_541_001)  # the first three end an hour after they were admitted
        assert self.admitted(limiter, "5/3600") == 3

    def test_what_a_longer_window_only_refuses_does_not_expire_early(
        self, limiter: Limiter, clock: Clock
    ) -> None:
        """The key in Redis was written for the shorter window."""
        self.admitted(limiter, "5/60")
        clock.advance(59_000)
        for _ in range(60):
            assert self.admitted(limiter, "5/3600", times=1) == 0
            clock.advance(59_000)

        clock.advance(2000)
        assert self.admitted(limiter, "5/3600") == 5

    def test_a_shadow_limit_that_is_enforced_counts_what_it_has_counted(
        self, limiter: Limiter
    ) -> None:
        assert self.admitted(limiter, "5/60;shadow") == 100
        assert self.admitted(limiter, "5/60") == 0
        assert self.admitted(limiter, "7/60") == 2

    def test_a_charge_is_refunded_after_a_change(self, limiter: Limiter) -> None:
        decision = limiter.hit(Charge(DECLARED.parse("5/60"), "a"))
        assert self.admitted(limiter, "3/90") == 2
        if limiter.hit.__name__ == "<lambda>":
            assert decision.receipt is not None
            limiter._local.refund(decision.receipt)
        else:
            limiter.refund(decision)

        assert self.admitted(limiter, "3/90") == 1


def test_the_key_lives_as_long_as_a_longer_window_needs(redis_client: RedisClient) -> None:
    limiter = Limiter(redis_client)
    for _ in range(5):
        limiter.hit(Charge(DECLARED, "a"))

    limiter.hit(Charge(DECLARED.parse("5/3600"), "a"))

    assert 3590 < redis_client.ttl("rate_limit:a") <= 4050


def most_in(times: Sequence[int], seconds: float) -> int:
    """The most admissions in any trailing window of so many seconds."""
    ordered = sorted(times)
    most = first = 0
    for number, at in enumerate(ordered):
        while ordered[first] <= at - seconds * SECOND:
            first += 1
        most = max(most, number - first + 1)
    return most


@pytest.mark.parametrize(
    ("rates", "narrow", "most"),
    [
        pytest.param(["30/2", "10/2", "30/2"], 2, 30, marks=pytest.mark.slow, id="the limit"),
        pytest.param(["20/3", "20/1", "20/3"], 1, 20, marks=pytest.mark.slow, id="the window"),
        pytest.param(["40/1", "10/2", "20/1"], 1, 40, id="both"),
    ],
)
def test_many_threads_of_processes_with_two_rates_never_exceed_them(
    redis_server: RedisServer, redis_client: RedisClient, rates: list[str], narrow: int, most: int
) -> None:
    """Each process takes over a new rate at a time of its own. While they differ, the shorter of
    the windows never holds more than the higher limit. With one rate, its own window is exact.
    """
    processes = [start("rate_change_load", redis_server.port, 4, rates[0]) for _ in range(3)]
    wait_until(lambda: redis_client.get("ready") == "3", seconds=60)
    redis_client.set("go", 1)
    for rate in rates[1:]:
        settled_at = change(redis_client, rate)
    limit, window = map(int, rates[-1].split("/"))
    await_admissions(redis_client, until=settled_at + 2 * window * SECOND)
    redis_client.set("stop", 1)
    counts = [int(process.communicate(timeout=60)[0]) for process in processes]
    times = [int(at) for at in redis_client.execute("LRANGE", "admissions", 0, -1)]

    assert sum(counts) == len(times)
    assert most_in(times, narrow) <= most
    assert most_in([at for at in times if at > settled_at], window) == limit


def change(client: RedisClient, rate: str) -> int:
    """Change the rate after some admissions. Returns when all processes have it, in µs."""
    await_admissions(client, until=now(client) + SECOND // 10)
    client.set("rate", rate)
    wait_until(lambda: client.execute("SCARD", f"have:{rate}") == 3, seconds=30)
    return now(client)


def await_admissions(client: RedisClient, until: int) -> None:
    wait_until(lambda: int(client.execute("LINDEX", "admissions", -1) or 0) > until, seconds=30)


def now(client: RedisClient) -> int:
    seconds, us = client.execute("TIME")
    return int(seconds) * SECOND + int(us)
