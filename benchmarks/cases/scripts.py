"""How long one command holds the server, where a user has many sessions or a commit many keys."""

from collections.abc import Callable
from statistics import median

from common.pyportal_common.cache_handlers import (
    Cache,
    Charge,
    Limiter,
    RateLimit,
    RedisClient,
    SessionStore,
)

from ..scale import Scale
from ..servers import connected, temporary_redis
from ..tables import Report, Table

_ALL = 100_000  # entries of the slow log
_USER = 7
_ROUNDS = 5
_COLUMNS = ("median µs", "longest", "number")
_SENT = ("EVAL", "EVALSHA", "SCAN", "UNLINK")  # the others run within scripts


def run(scale: Scale) -> Report:
    """Measure how long the commands of each call took, by the server's slow log."""
    with temporary_redis() as (server, _), connected(server) as client:
        client.execute("CONFIG", "SET", "slowlog-log-slower-than", 0)
        client.execute("CONFIG", "SET", "slowlog-max-len", _ALL)
        return Report(
            [
                _measure_sessions(client, scale.sessions_of_one_user),
                _measure_cache(client, scale.keys_of_one_commit),
                _measure_limits(client),
            ]
        )


def _measure_sessions(client: RedisClient, count: int) -> Table:
    table = Table((f"a user with {count:,} sessions", *_COLUMNS))
    before, store = SessionStore(client, max_per_user=count), SessionStore(client)

    def fill() -> None:
        missing = count - int(client.execute("ZCARD", f"user:sessions:{_USER}"))
        for _ in range(missing):
            before.create(_USER, {"username": "john_doe", "role": "user"}, auth_epoch=None)

    def overwrite() -> None:
        fill()
        client.set(f"user:sessions:{_USER}", "odd")

    table.add("SessionStore.list", *_measure(client, fill, lambda: store.list(_USER)))
    table.add("SessionStore.create", *_measure(client, fill, lambda: store.create(_USER, {})))
    table.add(
        "SessionStore.list, an odd index", *_measure(client, overwrite, lambda: store.list(_USER))
    )
    table.add(
        "SessionStore.revoke_all",
        *_measure(client, fill, lambda: store.revoke_all(_USER, auth_epoch=1)),
    )
    return table


def _measure_cache(client: RedisClient, count: int) -> Table:
    table = Table((f"a commit that changes {count:,} keys", *_COLUMNS))
    cache = Cache(client)
    names = [f"user:{number}" for number in range(count)]

    def fill() -> None:
        cache.put_many(dict.fromkeys(names, 1), ttl=60)

    table.add(
        "Cache.fence and unfence",
        *_measure(client, fill, lambda: cache.unfence(cache.fence(names))),
    )
    table.add("Cache.invalidate", *_measure(client, fill, lambda: cache.invalidate(*names)))
    return table


def _measure_limits(client: RedisClient) -> Table:
    table = Table(("a rate limit with 64 entries", *_COLUMNS))
    limiter = Limiter(client)
    limits = [RateLimit(name, 1_000_000, 3600) for name in ("a", "b", "c")]
    charges = [Charge(limit, "10.0.0.1") for limit in limits]
    for _ in range(64):
        decision = limiter.hit(*charges)
    table.add("Limiter.hit, three limits", *_measure(client, int, lambda: limiter.hit(*charges)))
    table.add(
        "Limiter.refund, three limits", *_measure(client, int, lambda: limiter.refund(decision))
    )
    return table


def _measure(
    client: RedisClient, prepare: Callable[[], object], call: Callable[[], object]
) -> list[str]:
    """The round with the least longest command: interruptions only add to it."""
    rounds: list[list[int]] = []
    for _ in range(_ROUNDS):
        prepare()
        client.execute("SLOWLOG", "RESET")
        call()
        entries = client.execute("SLOWLOG", "GET", _ALL)
        rounds.append([int(entry[2]) for entry in entries if entry[3][0].upper() in _SENT])
    times = min(rounds, key=max)
    return [str(int(median(times))), str(max(times)), str(len(times))]
