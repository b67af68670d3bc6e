"""The limiter beside a simple model, a list of every charge: random steps on a test's clock."""

import random
from collections import Counter
from dataclasses import dataclass, field

import pytest

from common.pyportal_common.cache_handlers import Charge, Decision, RateLimit, RedisClient

from .limit_states import stored
from .test_rate_limits import Clock, redis_limiter

PAUSES_MS = [1, 2, 7, 40, 150, 900, 2500, 7000]
FORGET_MS = 20_000  # longer than every window and its slack


@dataclass
class Model:
    """Every charge of one limit, in ms."""

    rate_limit: RateLimit
    identifier: str
    charges: list[tuple[int, int]] = field(default_factory=list)
    admitted_at: int = 0

    @property
    def is_exact(self) -> bool:
        return self.rate_limit.limit <= 64  # no entries are ever merged

    def used(self, now: int, late_ms: int = 0) -> int:
        horizon = now - self.rate_limit.window * 1000 - late_ms
        return sum(cost for at, cost in self.charges if at > horizon)

    def may_refuse(self, now: int, cost: int) -> bool:
        late_ms = 0 if self.is_exact else self.rate_limit.window * 1000 // 63 + 1
        return self.used(now, late_ms) + cost > self.rate_limit.limit

    def must_refuse(self, now: int, cost: int) -> bool:
        return self.used(now) + cost > self.rate_limit.limit

    def move_back(self, now: int) -> None:
        """The clock was set back: the charges move so that the latest is now.

        Those that had expired at the latest admission are not in Redis any more.
        """
        horizon = self.admitted_at - self.rate_limit.window * 1000
        kept = [each for each in self.charges if each[0] > horizon]
        ahead = max([0, *(at - now for at, _ in kept)])
        self.charges = [(at - ahead, cost) for at, cost in kept]
        self.admitted_at = min(self.admitted_at, now)

    def admit(self, now: int, cost: int) -> None:
        self.charges = [each for each in self.charges if each[0] > now - FORGET_MS]
        self.charges.append((now, cost))
        self.admitted_at = now


class Steps:
    """Random steps, each checked against the models."""

    def __init__(self, client: RedisClient, seed: int) -> None:
        self._rng = random.Random(seed)
        self._client = client
        self._clock = Clock(client)
        self._limiter = redis_limiter(client)
        self._models = [
            Model(RateLimit("exact", 5, 1), "x"),
            Model(RateLimit("full", 64, 3), "x"),
            Model(RateLimit("merged", 300, 10), "x"),
            Model(RateLimit("other", 40, 2), "y"),
        ]
        self._recent: list[tuple[int, Decision, list[Model], int]] = []
        self.seen: Counter[str] = Counter()

    def take(self) -> None:
        """Take one step."""
        step = self._rng.random()
        if step < 0.06 and self._recent:
            self._refund()
        elif step < 0.062:
            self._set_back()
        else:
            self._clock.advance(self._rng.choice(PAUSES_MS) if self._rng.random() < 0.5 else 1)
            self._hit()

    def _hit(self) -> None:
        now, rng = self._clock.now, self._rng
        chosen = rng.sample(self._models, rng.choice([1, 1, 2, 4]))
        cost = rng.choice([1, 1, 1, 2, 5])
        decision = self._limiter.hit(*(Charge(m.rate_limit, m.identifier, cost) for m in chosen))
        self.seen["admitted" if decision.allowed else "refused"] += 1
        if not decision.allowed:
            assert any(model.may_refuse(now, cost) for model in chosen)
            assert decision.retry_after > 0
            return
        assert not any(model.must_refuse(now, cost) for model in chosen)
        for model in chosen:
            model.admit(now, cost)
        tightest = next(m for m in chosen if m.rate_limit.name == decision.rate_limit)
        if tightest.is_exact:
            assert decision.remaining == tightest.rate_limit.limit - tightest.used(now)
        self._recent = [*self._recent[-9:], (now, decision, chosen, cost)]

    def _refund(self) -> None:
        at, decision, chosen, cost = self._recent.pop()
        if at <= self._clock.now - 900:  # it may have expired
            return
        self._limiter.refund(decision)
        for model in chosen:
            model.charges.remove((at, cost))
        self.seen["refunded"] += 1

    def _set_back(self) -> None:
        """Redis moves what a request finds in the future, so every limit gets a request."""
        self._clock.advance(-self._rng.randint(1, 5000))
        now = self._clock.now
        for model in self._models:
            model.move_back(now)
            limit = model.rate_limit
            if self._limiter.hit(Charge(limit, model.identifier, limit.limit)).allowed:
                assert not model.must_refuse(now, limit.limit)
                model.admit(now, limit.limit)
            else:
                assert model.may_refuse(now, limit.limit)
        self._recent = []
        self.seen["set back"] += 1

    def compare(self) -> None:
        """Compare what Redis holds with the models of exact limits."""
        for model in self._models:
            state = stored(self._client, f"rate_limit:{model.identifier}", model.rate_limit)
            if not model.is_exact or state is None:
                continue
            horizon = self._clock.now - model.rate_limit.window * 1000
            found = sum(count for at, count in state.entries if at // 1000 > horizon)
            assert found == model.used(self._clock.now)


def run(client: RedisClient, seed: int, steps: int) -> None:
    walk = Steps(client, seed)
    for number in range(steps):
        walk.take()
        if number % 50 == 0:
            walk.compare()
    assert min(walk.seen[each] for each in ("admitted", "refused", "refunded", "set back")) > 0


def test_3000_random_steps_agree_with_a_list_of_every_charge(redis_client: RedisClient) -> None:
    run(redis_client, seed=1, steps=3000)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 12))
def test_100_000_random_steps_agree_with_a_list_of_every_charge(
    redis_client: RedisClient, seed: int
) -> None:
    run(redis_client, seed, steps=10_000)
