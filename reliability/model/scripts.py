"""What Redis holds for one key, and the scripts: each is one step, as in Redis.

`tests/test_model_scripts.py` compares them with the real scripts.
"""

from typing import Literal, NamedTuple

from .rules import Rules

Answer = Literal["hit", "mine", "leased", "fenced"]


class Redis(NamedTuple):
    """`marked`: whether the marker holds the run id of this server."""

    value: int | None = None
    lease: int | None = None
    fences: frozenset[int] = frozenset()
    marked: bool = True


def miss(redis: Redis, token: int, *, refresh: bool = False) -> tuple[Redis, Answer]:
    if redis.value is not None and not refresh:
        return redis, "hit"
    if redis.fences:
        return redis, "fenced"
    if redis.lease is not None:
        return redis, "leased"
    return redis._replace(lease=token), "mine"


def publish(redis: Redis, token: int, value: int, rules: Rules) -> tuple[Redis, bool]:
    if rules.lease_in_publish and redis.lease != token:
        return redis, False
    return redis._replace(value=value, lease=None), True


def fence(redis: Redis, token: int, rules: Rules) -> Redis:
    if rules.removal_before_commit:
        redis = _remove(redis, takes_lease=rules.invalidation_takes_lease)
    return redis._replace(fences=redis.fences | {token}) if rules.fence else redis


def unfence(redis: Redis, token: int, rules: Rules) -> Redis:
    if rules.removal_after_commit:
        redis = _remove(redis, takes_lease=rules.invalidation_takes_lease)
    left = redis.fences - {token} if rules.unfence_own_only else frozenset[int]()
    return redis._replace(fences=left)


def replay(redis: Redis, rules: Rules) -> Redis:
    """Not a script, but one command: UNLINK of the lease and the value."""
    return _remove(redis, takes_lease=rules.replay_takes_lease)


def _remove(redis: Redis, *, takes_lease: bool) -> Redis:
    return redis._replace(value=None, lease=None if takes_lease else redis.lease)
