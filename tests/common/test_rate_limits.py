"""The limiter: arithmetic, time, and the state in Redis."""

import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.pyportal_common.cache_handlers import (
    Charge,
    Decision,
    Limiter,
    RateLimit,
    RedisClient,
    RedisUnavailable,
    Script,
)
from common.pyportal_common.cache_handlers.rate_limits.local_windows import LocalWindows
from common.pyportal_common.redis_server import RedisServer, free_port

from .conftest import ON_SERVERS
from .limit_states import ENTRY_BYTES, HEADER_BYTES, State, octets, pack, stored
from .load import ROOT, Connect
from .waiting import wait_until

REGISTER = RateLimit("register", limit=5, window=60)
NOW = int(time.time() * 1e6)
ODD_TEXTS = [
    b"",
    b"by hand",
    b"\x01",
    b"\x01" * 19,
    b"\x01" * 31,
    b"\x01" * (19 + 17 * 11),
    State([]).pack(),
    State([(NOW, 4)], version=2).pack(),
    State([(NOW, 4)]).pack()[:-1],
    State([(NOW, 4)]).pack() + b"\x00",
    State([(NOW - 61_000_000, 4)]).pack(),
]


class TestRateLimit:
    def test_it_is_parsed_from_text(self) -> None:
        assert REGISTER.parse("5/60") == REGISTER

    @pytest.mark.parametrize(
        "text", ["", "5", "5/", "/60", "5/60/1", "a/b", "-5/60", "5.5/60", "5/60s"]
    )
    def test_other_text_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match="5/60"):
            REGISTER.parse(text)

    @pytest.mark.parametrize("text", ["0/60", "5/0", "5/99999999", "9999999999/60"])
    def test_numbers_out_of_bounds_are_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match="is 1 to"):
            REGISTER.parse(text)

    def test_a_cost_above_the_limit_could_never_be_paid(self) -> None:
        with pytest.raises(ValueError, match="cost is 1 to the limit 5"):
            Charge(REGISTER, "a", cost=6)


class Clock:
    """A clock in ms that both limiters under test read."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client
        self.set(4_102_444_800_123)  # in the year 2100: keys that end then do not end now

    def set(self, now: int) -> None:
        self.now = now
        seconds, ms = divmod(now, 1000)
        self._client.execute("MSET", "now:s", seconds, "now:us", ms * 1000)

    def advance(self, ms: int) -> None:
        self.set(self.now + ms)

    def __call__(self) -> float:
        return self.now / 1000


@pytest.fixture
def clock(redis_client: RedisClient) -> Clock:
    return Clock(redis_client)


@pytest.fixture(params=["redis", "this process"])
def limiter(
    request: pytest.FixtureRequest,
    redis_client: RedisClient,
    clock: Clock,
    connect: Connect,
    tmp_path: Path,
) -> Limiter:
    """A limiter that uses `clock`, on Redis and while Redis is unavailable."""
    if request.param == "redis":
        return redis_limiter(redis_client, "usermanagement")
    nothing = RedisServer(tmp_path, tmp_path, port=free_port())
    return Limiter(connect(nothing), service="usermanagement", clock=clock)


def redis_limiter(client: RedisClient, service: str | None = None) -> Limiter:
    limiter = Limiter(client, service=service)
    limiter.script = on_test_clock(limiter.script)
    return limiter


def on_test_clock(script: Script) -> Script:
    assert script.text.count("redis.call('TIME')") == 1
    return Script.of(
        script.text.replace("redis.call('TIME')", "redis.call('MGET', 'now:s', 'now:us')")
    )


@ON_SERVERS
class TestWindow:
    @pytest.fixture
    def redis_client(self, client: RedisClient) -> RedisClient:
        """A client of every kind of server."""
        return client

    def test_requests_above_the_limit_are_refused_and_not_charged(
        self, limiter: Limiter, clock: Clock
    ) -> None:
        decisions = [limiter.hit(Charge(REGISTER, "a")) for _ in range(6)]

        assert [decision.allowed for decision in decisions] == [True] * 5 + [False]
        assert [decision.remaining for decision in decisions] == [4, 3, 2, 1, 0, 0]
        assert {decision.limit for decision in decisions} == {5}
        assert limiter.hit(Charge(REGISTER, "b")).allowed is True
        clock.advance(60_001)
        assert limiter.hit(Charge(REGISTER, "a")).remaining == 4

    def test_retry_after_is_the_true_wait(self, limiter: Limiter, clock: Clock) -> None:
        limiter.hit(Charge(REGISTER, "a"))
        clock.advance(20_000)
        for _ in range(4):
            limiter.hit(Charge(REGISTER, "a"))
        clock.advance(10_000)

        refused = limiter.hit(Charge(REGISTER, "a"))

        assert (refused.allowed, refused.retry_after, refused.reset_after) == (False, 30, 50)
        clock.advance(refused.retry_after * 1000 - 1000)
        assert limiter.hit(Charge(REGISTER, "a")).allowed is False
        clock.advance(1000)
        assert limiter.hit(Charge(REGISTER, "a")).allowed is True

    def test_more_after_is_when_the_oldest_request_leaves_the_window(
        self, limiter: Limiter, clock: Clock
    ) -> None:
        found = []
        for cost in (1, 2, 3):
            found.append(limiter.hit(Charge(REGISTER, "a", cost)).more_after)
            clock.advance(20_000)
        clock.advance(1)
        after = limiter.hit(Charge(REGISTER, "a"))

        assert found == [60, 40, 20]  # the last is refused
        assert (after.remaining, after.more_after, after.reset_after) == (2, 20, 60)

    def test_the_window_slides(self, limiter: Limiter, clock: Clock) -> None:
        """A fixed window would admit ten around its edge."""
        clock.advance(55_000)
        for _ in range(5):
            assert limiter.hit(Charge(REGISTER, "a")).allowed
        clock.advance(10_000)

        assert limiter.hit(Charge(REGISTER, "a")).allowed is False

    def test_costs_add_up(self, limiter: Limiter) -> None:
        assert limiter.hit(Charge(REGISTER, "a", cost=3)).remaining == 2
        assert limiter.hit(Charge(REGISTER, "a", cost=3)).allowed is False
        assert limiter.hit(Charge(REGISTER, "a", cost=2)).remaining == 0

    def test_several_limits_are_charged_together_or_not_at_all(self, limiter: Limiter) -> None:
        narrow, wide = RateLimit("narrow", 1, 60), RateLimit("wide", 10, 60)

        first = limiter.hit(Charge(narrow, "a"), Charge(wide, "b"))
        refused = limiter.hit(Charge(narrow, "a"), Charge(wide, "b"))

        assert (first.allowed, first.limit, first.remaining) == (True, 1, 0)
        assert (refused.allowed, refused.limit) == (False, 1)
        assert limiter.hit(Charge(wide, "b")).remaining == 8

    def test_the_decision_is_that_of_the_tightest_limit(
        self, limiter: Limiter, clock: Clock
    ) -> None:
        minute, hour = RateLimit("minute", 2, 60), RateLimit("hour", 2, 3600)

        both_allow = limiter.hit(Charge(minute, "a"), Charge(hour, "a"))
        clock.advance(1000)
        limiter.hit(Charge(minute, "a"), Charge(hour, "a"))
        both_refuse = limiter.hit(Charge(minute, "a"), Charge(hour, "a"))
        clock.advance(60_000)
        one_refuses = limiter.hit(Charge(minute, "a"), Charge(hour, "a"))

        assert (both_allow.rate_limit, both_allow.reset_after) == ("hour", 3600)
        assert (both_refuse.rate_limit, both_refuse.retry_after) == ("hour", 3599)
        assert (one_refuses.rate_limit, one_refuses.retry_after) == ("hour", 3539)
        assert (one_refuses.remaining, one_refuses.reset_after) == (0, 3540)

    def test_a_limit_cannot_be_charged_twice_in_one_request(self, limiter: Limiter) -> None:
        with pytest.raises(ValueError, match="another rate limit or identifier"):
            limiter.hit(Charge(REGISTER, "a"), Charge(REGISTER, "a"))

    def test_after_a_change_of_the_limit_earlier_requests_count(self, limiter: Limiter) -> None:
        for _ in range(5):
            limiter.hit(Charge(REGISTER, "a"))

        assert limiter.hit(Charge(replace(REGISTER, limit=4), "a")).allowed is False
        assert limiter.hit(Charge(replace(REGISTER, limit=7), "a")).remaining == 1

    def test_windows_of_one_name_are_independent(self, limiter: Limiter, clock: Clock) -> None:
        hour = replace(REGISTER, window=3600)
        for _ in range(5):
            limiter.hit(Charge(hour, "a"))
        clock.advance(61_000)
        limiter.hit(Charge(REGISTER, "a"))

        assert limiter.hit(Charge(hour, "a")).allowed is False

    @pytest.mark.parametrize("limiter", ["redis"], indirect=True)
    def test_a_clock_that_is_set_back_does_not_block_requests(
        self, limiter: Limiter, clock: Clock
    ) -> None:
        for _ in range(5):
            limiter.hit(Charge(REGISTER, "a"))
        clock.advance(-3_600_000)

        refused = limiter.hit(Charge(REGISTER, "a"))

        assert refused.allowed is False
        assert refused.retry_after == 60
        clock.advance(refused.retry_after * 1000)
        assert limiter.hit(Charge(REGISTER, "a")).allowed is True

    def test_a_refund_undoes_only_its_own_charge(self, limiter: Limiter, clock: Clock) -> None:
        others = [limiter.hit(Charge(REGISTER, "a")) for _ in range(3)]
        clock.advance(1000)
        mine = limiter.hit(Charge(REGISTER, "a"))
        clock.advance(1000)
        limiter.hit(Charge(REGISTER, "a"))

        limiter.refund(mine)

        assert [other.remaining for other in others] == [4, 3, 2]
        assert limiter.hit(Charge(REGISTER, "a")).remaining == 0
        assert limiter.hit(Charge(REGISTER, "a")).allowed is False
        clock.advance(58_001)  # the first three and the refunded one have expired
        assert limiter.hit(Charge(REGISTER, "a")).remaining == 2

    def test_a_refund_of_the_only_charge(self, limiter: Limiter) -> None:
        limiter.refund(limiter.hit(Charge(REGISTER, "a", cost=5)))

        assert limiter.hit(Charge(REGISTER, "a", cost=5)).allowed is True
        limiter.refund(limiter.hit(Charge(REGISTER, "a")))  # refused: nothing to refund
        assert limiter.hit(Charge(REGISTER, "a")).allowed is False

    def test_merged_entries_can_be_refunded(self, limiter: Limiter, clock: Clock) -> None:
        rate_limit = RateLimit("many", 200, 60)
        decisions = []
        for _ in range(150):
            clock.advance(5)
            decisions.append(limiter.hit(Charge(rate_limit, "a")))

        for decision in decisions[:100]:
            limiter.refund(decision)

        assert limiter.hit(Charge(rate_limit, "a")).remaining == 200 - 50 - 1

    def test_clear_removes_the_charges_of_an_identifier(self, limiter: Limiter) -> None:
        for identifier in ("a", "b"):
            for _ in range(5):
                limiter.hit(Charge(REGISTER, identifier))

        with suppress(RedisUnavailable):
            limiter.clear("a")

        assert limiter.hit(Charge(REGISTER, "a")).allowed is True
        assert limiter.hit(Charge(REGISTER, "b")).allowed is False


@dataclass(frozen=True)
class Step:
    pause_ms: int
    cost: int


steps = st.lists(
    st.builds(Step, st.one_of(st.integers(0, 40), st.integers(0, 3000)), st.integers(1, 3)),
    min_size=1,
    max_size=300,
)


@given(steps=steps, limit=st.integers(3, 200), window=st.integers(1, 3))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_traffic_agrees_with_the_definition(
    redis_client: RedisClient, clock: Clock, steps: list[Step], limit: int, window: int
) -> None:
    """Never above the limit in any trailing window; never refused without a reason.

    With more than 64 requests in the window the reason may be up to 1/63 of the window too old.
    The process counts exactly as Redis does.
    """
    redis_client.delete("rate_limit:x")
    limiter = redis_limiter(redis_client)
    local = LocalWindows(clock=clock)
    rate_limit = RateLimit("p", limit, window)
    admitted: list[tuple[int, int]] = []
    late = window * 1000 // 63 + 1 if limit > 64 else 0

    for step in steps:
        clock.advance(step.pause_ms)
        charge = Charge(rate_limit, "x", step.cost)
        decision = limiter.hit(charge)

        def used(span: int) -> int:
            return sum(cost for at, cost in admitted if at > clock.now - span)

        if decision.allowed:
            assert used(window * 1000) + step.cost <= limit
            admitted.append((clock.now, step.cost))
        else:
            assert used(window * 1000 + late) + step.cost > limit
            assert 1 <= decision.retry_after <= window
        assert local.hit((charge,)) == decision


@dataclass(frozen=True)
class Hits:
    """Requests, each after a pause, charged to limits by their number."""

    times: int
    pause_ms: int
    limits: list[int]
    cost: int


@dataclass(frozen=True)
class Refund:
    """A refund of the `back`-th admission before the last."""

    back: int


@dataclass(frozen=True)
class SetBack:
    """The clock is set back."""

    ms: int


class Twins:
    """A limiter on Redis and the windows of this process, with the same requests."""

    def __init__(self, client: RedisClient, clock: Clock, limits: list[RateLimit]) -> None:
        client.delete("rate_limit:x", "rate_limit:y")
        self._client = client
        self._clock = clock
        self._limiter = redis_limiter(client)
        self._local = LocalWindows(clock=clock)
        self._policies = list(zip(limits, "xxy", strict=True))
        self._admissions: list[tuple[int, Decision, Decision]] = []

    def hit(self, hits: Hits) -> None:
        charges = tuple(Charge(*self._policies[n], hits.cost) for n in hits.limits)
        for _ in range(hits.times):
            self._clock.advance(hits.pause_ms)
            for charge in charges:
                window = self._window(charge.rate_limit, charge.identifier)
                window[:] = current(window, charge.rate_limit, self._clock)
            decision, by_process = self._limiter.hit(*charges), self._local.hit(charges)
            assert decision == by_process
            if decision.allowed:
                self._admissions.append((self._clock.now, decision, by_process))

    def refund(self, refund: Refund) -> None:
        if refund.back >= len(self._admissions):
            return
        at, decision, by_process = self._admissions.pop(-1 - refund.back)
        if at > self._clock.now - 1000:  # otherwise it may have expired
            self._limiter.refund(decision)
            assert by_process.receipt is not None
            self._local.refund(by_process.receipt)

    def set_back(self, by: SetBack) -> None:
        """Redis keeps expired entries until the next admission; copy them to the process."""
        self._clock.advance(-by.ms)
        for rate_limit, identifier in self._policies:
            stored = entries_in_redis(self._client, rate_limit, identifier)
            self._window(rate_limit, identifier)[:] = stored

    def compare(self) -> None:
        for rate_limit, identifier in self._policies:
            stored = entries_in_redis(self._client, rate_limit, identifier)
            window = self._window(rate_limit, identifier)
            assert totals(current(stored, rate_limit, self._clock)) == totals(
                current(window, rate_limit, self._clock)
            )

    def _window(self, rate_limit: RateLimit, identifier: str) -> list[tuple[int, int]]:
        return self._local.windows.setdefault((identifier, rate_limit.field), [])


any_events = st.lists(
    st.one_of(
        st.builds(
            Hits,
            st.sampled_from([1, 1, 1, 5, 70]),
            st.one_of(st.integers(0, 40), st.integers(0, 1500), st.just(1000)),
            st.lists(st.sampled_from([0, 1, 2]), min_size=1, max_size=3, unique=True),
            st.integers(1, 3),
        ),
        st.builds(Refund, st.integers(0, 80)),
        st.builds(SetBack, st.integers(1, 2500)),
    ),
    min_size=1,
    max_size=15,
)
limits_and_windows = st.tuples(st.integers(3, 300), st.integers(1, 4))


@given(events=any_events, rates=st.tuples(*[limits_and_windows] * 3))
@settings(
    max_examples=150,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_redis_holds_the_entries_of_the_process_and_their_sum(
    redis_client: RedisClient,
    clock: Clock,
    events: list[Hits | Refund | SetBack],
    rates: tuple[tuple[int, int], ...],
) -> None:
    """Two limits of one identifier and one of another, with every kind of event."""
    limits = [RateLimit(name, *rate) for name, rate in zip("abc", rates, strict=True)]
    twins = Twins(redis_client, clock, limits)

    for event in events:
        match event:
            case Hits():
                twins.hit(event)
            case Refund():
                twins.refund(event)
            case SetBack():
                twins.set_back(event)
        twins.compare()


def entries_in_redis(
    client: RedisClient, rate_limit: RateLimit, identifier: str
) -> list[tuple[int, int]]:
    """The entries of a limit, after a check of their sum and of the expiry of the key."""
    state = stored(client, f"rate_limit:{identifier}", rate_limit)
    return state.entries if state is not None else []


def current(
    entries: list[tuple[int, int]], rate_limit: RateLimit, clock: Clock
) -> list[tuple[int, int]]:
    """The entries that have not expired. If the clock was set back, they move with it."""
    now = clock.now * 1000
    ahead = max(0, entries[-1][0] - now) if entries else 0
    horizon = now - rate_limit.window * 1_000_000
    return [(at - ahead, count) for at, count in entries if at - ahead > horizon]


def totals(entries: list[tuple[int, int]]) -> Counter[int]:
    """How many were admitted at each time: entries with the same time are equivalent."""
    admitted: Counter[int] = Counter()
    for at, count in entries:
        admitted[at] += count
    return admitted


def commands_sent(client: RedisClient) -> Counter[str]:
    """How often each command was called, except those that scripts call."""
    stats = client.execute("INFO", "commandstats")
    from_scripts = {"time", "hmget", "hset", "pexpireat"}
    names = {name.removeprefix("cmdstat_"): value["calls"] for name, value in stats.items()}
    return Counter({name: calls for name, calls in names.items() if name not in from_scripts})


def calls_of(client: RedisClient, command: str) -> int:
    """How often a command was called, also by scripts, since CONFIG RESETSTAT."""
    stats = client.execute("INFO", "commandstats")
    return int(stats.get(f"cmdstat_{command}", {"calls": 0})["calls"])


class TestInRedis:
    @pytest.fixture
    def limiter(self, redis_client: RedisClient) -> Limiter:
        return Limiter(redis_client)

    def test_the_format_of_key_and_fields(self, redis_client: RedisClient) -> None:
        limiter = Limiter(redis_client, service="usermanagement")
        limiter.hit(Charge(REGISTER, "127.0.0.1", cost=2))

        [(field, text)] = redis_client.hgetall("rate_limit:usermanagement:127.0.0.1").items()
        state = stored(redis_client, "rate_limit:usermanagement:127.0.0.1", REGISTER)

        assert field == "register/60"
        assert octets(text)[0] == 1
        assert state is not None
        [(admitted_us, count)] = state.entries
        assert abs(admitted_us / 1e6 - time.time()) < 10
        assert count == 2

    @pytest.mark.parametrize("hits", [1, 20])
    def test_the_script_for_redis_cli_shows_every_limit(
        self, redis_client: RedisClient, clock: Clock, hits: int
    ) -> None:
        text = (ROOT / "redis" / "show-limits.lua").read_text("utf-8")
        on_clock = text.replace('call("TIME")', 'call("MGET", "now:s", "now:us")')
        minute, hour = RateLimit("older", 50, 60), RateLimit("per-hour", 200, 3600)
        for _ in range(hits):
            redis_limiter(redis_client).hit(Charge(minute, "a"), Charge(hour, "a", cost=2))
        clock.advance(1500)
        redis_limiter(redis_client).hit(Charge(minute, "a"))

        lines = redis_client.execute("EVAL", on_clock, 1, "rate_limit:a")

        assert set(lines) == {
            f"older/60: {hits + 1} requests, the first 1.5 s ago, the last 0.0 s ago",
            f"per-hour/3600: {2 * hits} requests, the first 1.5 s ago, the last 1.5 s ago",
        }
        assert not set(text) & set("'$\\`#")  # it is pasted into a command line

    def test_older_entries_are_touched_by_each_sixteenth_request(
        self, redis_client: RedisClient
    ) -> None:
        limiter, many = Limiter(redis_client), RateLimit("many", 1000, 60)
        redis_client.execute("CONFIG", "RESETSTAT")

        sizes = []
        for _ in range(49):
            limiter.hit(Charge(many, "a"))
            state = stored(redis_client, "rate_limit:a", many)
            assert state is not None
            sizes.append((len(state.older), len(state.recent)))

        assert sizes[:17] == [(0, n) for n in range(1, 17)] + [(16, 1)]
        assert sizes[-1] == (48, 1)
        assert calls_of(redis_client, "hget") == 2 * 49 + 2  # this test's, and the scripts'

    def test_three_limits_are_one_round_trip(self, limiter: Limiter) -> None:
        charges = [Charge(RateLimit(name, 5, 60), "a") for name in ("x", "y", "z")]
        limiter.hit(*charges)  # opens the connection, sends the script
        sent_before = commands_sent(limiter.client)

        limiter.hit(*charges)

        assert commands_sent(limiter.client) - sent_before == {"evalsha": 1, "info": 1}

    @ON_SERVERS
    def test_the_key_outlives_the_window_by_an_eighth_at_most(self, client: RedisClient) -> None:
        Limiter(client).hit(Charge(REGISTER, "a"))

        assert 67_000 < client.execute("PTTL", "rate_limit:a") <= 67_500

    @ON_SERVERS
    def test_few_requests_extend_the_key(self, client: RedisClient) -> None:
        limiter = Limiter(client)
        client.execute("CONFIG", "RESETSTAT")

        for _ in range(5):
            limiter.hit(Charge(REGISTER, "a"), Charge(replace(REGISTER, name="other"), "a"))

        assert calls_of(client, "pexpireat") == 1

    def test_a_short_window_does_not_shorten_a_long_one(self, limiter: Limiter) -> None:
        limiter.hit(Charge(replace(REGISTER, window=3600), "a"))
        limiter.hit(Charge(REGISTER, "a"))

        assert limiter.client.ttl("rate_limit:a") > 3000

    def test_a_long_window_extends_the_key_of_a_short_one(self, limiter: Limiter) -> None:
        limiter.hit(Charge(REGISTER, "a"))
        limiter.hit(Charge(replace(REGISTER, window=3600), "a"))

        assert limiter.client.ttl("rate_limit:a") >= 3600

    def test_any_number_of_requests_takes_less_than_a_kilobyte(
        self, redis_client: RedisClient, clock: Clock
    ) -> None:
        limiter = redis_limiter(redis_client)
        rate_limit = RateLimit("big", 10_000, 60)
        for _ in range(3000):
            clock.advance(17)
            limiter.hit(Charge(rate_limit, "a", cost=3))

        state = stored(redis_client, "rate_limit:a", rate_limit)

        assert state is not None
        assert len(state.entries) == 64
        assert HEADER_BYTES + 64 * ENTRY_BYTES < 800

    def test_a_key_of_another_type_is_replaced(self, limiter: Limiter) -> None:
        limiter.client.set("rate_limit:a", "by hand")

        assert limiter.hit(Charge(REGISTER, "a")).remaining == 4

    @pytest.mark.parametrize("text", ODD_TEXTS)
    def test_what_is_not_a_state_counts_as_nothing(self, limiter: Limiter, text: bytes) -> None:
        limiter.client.hset("rate_limit:a", "register/60", text)

        assert limiter.hit(Charge(REGISTER, "a")).remaining == 4
        assert stored(limiter.client, "rate_limit:a", REGISTER) is not None

    def test_the_state_of_an_earlier_release_counts_as_nothing(self, limiter: Limiter) -> None:
        limiter.client.hset("rate_limit:a", "register/60", f"5 1 0 {NOW}:5")

        assert limiter.hit(Charge(REGISTER, "a")).remaining == 4

    @pytest.mark.parametrize("damage", [None, b"", b"x", pack([(NOW, 1)] * 15)])
    def test_lost_older_entries_count_as_nothing(
        self, limiter: Limiter, damage: bytes | None
    ) -> None:
        """The newest ones are known, so they count on."""
        wide = RateLimit("wide", 40, 60)
        decisions = [limiter.hit(Charge(wide, "a")) for _ in range(20)]
        limiter.client.hdel("rate_limit:a", "wide/60/older")
        if damage is not None:
            limiter.client.hset("rate_limit:a", "wide/60/older", damage)

        limiter.refund(decisions[-1])

        assert limiter.hit(Charge(wide, "a")).remaining == 40 - 3 - 1
        for _ in range(50):
            refused = limiter.hit(Charge(wide, "a"))
        assert not refused.allowed
        assert 0 < refused.retry_after <= 60
        assert stored(limiter.client, "rate_limit:a", wide) is not None

    def test_a_key_that_was_made_persistent_gets_an_expiry(
        self, limiter: Limiter, redis_client: RedisClient
    ) -> None:
        limiter.hit(Charge(RateLimit("brief", 100, 1), "a"))
        redis_client.execute("PERSIST", "rate_limit:a")

        wait_until(
            lambda: (
                limiter.hit(Charge(RateLimit("brief", 100, 1), "a")).allowed
                and redis_client.ttl("rate_limit:a") != -1
            )
        )

    @pytest.mark.parametrize("identifier", ["a{b}c", "a b", "a\nb", "a\x00b", "x" * 5000, "100%"])
    def test_hostile_identifiers_are_separate_and_short(
        self, limiter: Limiter, identifier: str
    ) -> None:
        for _ in range(5):
            limiter.hit(Charge(REGISTER, identifier))

        assert limiter.hit(Charge(REGISTER, identifier)).allowed is False
        assert limiter.hit(Charge(REGISTER, identifier + "!")).allowed is True
        for key in limiter.client.scan():
            assert len(key) <= 250
            assert not set(key) & set("{} \n\x00")


class TestOutage:
    def test_a_refund_in_an_outage_is_local(
        self, own_redis: RedisServer, own_client: RedisClient
    ) -> None:
        limiter = Limiter(own_client)
        decision = limiter.hit(Charge(REGISTER, "a"))
        own_redis.kill()

        limiter.refund(decision)

        local = limiter.hit(Charge(REGISTER, "a"))
        limiter.refund(local)
        assert limiter.hit(Charge(REGISTER, "a")).remaining == 4

    def test_full_memory_is_an_outage_for_the_limiter_but_not_for_readers(
        self, own_client: RedisClient
    ) -> None:
        own_client.set("key", "value")
        own_client.execute("CONFIG SET", "maxmemory", "1")
        limiter = Limiter(own_client)

        decisions = [limiter.hit(Charge(REGISTER, "a")) for _ in range(6)]

        assert [decision.allowed for decision in decisions] == [True] * 5 + [False]
        assert own_client.get("key") == "value"
        assert own_client.breaker.is_open is False

    def test_a_flood_of_identifiers_takes_bounded_memory(self) -> None:
        local = LocalWindows(clock=lambda: 0.0, capacity=100)

        for n in range(1000):
            local.hit((Charge(REGISTER, str(n)),))

        assert len(local.windows) == 100
