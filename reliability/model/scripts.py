"""What Redis holds for one key, and the scripts: each is one step, as in Redis.

`tests/test_model_scripts.py` compares them with the real scripts.
"""

from typing import Literal, NamedTuple

from .rules import Rules

Answer = Literal["hit", "fresh", "mine", "leased", "fenced"]


class Redis(NamedTuple):
    """`marked`: whether the marker holds the run id of this server.

    `fills` counts the fills: a value that expires later than another one is of a later fill.
    """

    value: int | None = None
    lease: int | None = None
    fences: frozenset[int] = frozenset()
    marked: bool = True
    fills: int = 0


def miss(redis: Redis, token: int, *, seen: int | None = None) -> tuple[Redis, Answer]:
    """To refresh, `seen` is the fill of the value that the reader saw."""
    if redis.value is not None and seen is None:
        return redis, "hit"
    if redis.value is not None and seen is not None and redis.fills > seen:
        return redis, "fresh"
    if redis.fences:
        return redis, "fenced"
    if redis.lease is not None:
        return redis, "leased"
    return redis._replace(lease=token), "mine"


def publish(redis: Redis, token: int, value: int, rules: Rules) -> tuple[Redis, bool]:
    if rules.lease_in_publish and redis.lease != token:
        return redis, False
    return redis._replace(value=value, lease=None, fills=redis.fills + 1), True


def fence(redis: Redis, token: int, rules: Rules, *, fills: bool = False) -> Redis:
    """A writer that fills gets the lease as well."""
    if rules.removal_before_commit:
        redis = _remove(redis, takes_lease=rules.invalidation_takes_lease)
    if fills:
        redis = redis._replace(lease=token)
    return redis._replace(fences=redis.fences | {token}) if rules.fence else redis


def unfence(redis: Redis, token: int, rules: Rules, *, fill: int | None = None) -> Redis:
    """With `fill`, the writer's own row, if no invalidation has taken its lease."""
    is_filled = fill is not None and (redis.lease == token or not rules.own_fill_needs_lease)
    if rules.removal_after_commit:
        redis = _remove(redis, takes_lease=rules.invalidation_takes_lease)
    if is_filled:
        redis = redis._replace(value=fill, lease=None)
    left = redis.fences - {token} if rules.unfence_own_only else frozenset[int]()
    return redis._replace(fences=left)


def replay(redis: Redis, rules: Rules) -> Redis:
    """Not a script, but one command: UNLINK of the lease and the value."""
    return _remove(redis, takes_lease=rules.replay_takes_lease)


def renew(redis: Redis, rules: Rules) -> Redis:
    """Of a renewal that has found a record."""
    return _remove(redis, takes_lease=rules.renewal_takes_lease)


def _remove(redis: Redis, *, takes_lease: bool) -> Redis:
    return redis._replace(value=None, lease=None if takes_lease else redis.lease)
