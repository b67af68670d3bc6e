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

from .figures import print_row
from .scale import Scale
from .servers import connected, temporary_redis

_ALL = 100_000  # entries of the slow log
_USER = 7
_ROUNDS = 5
_COLUMNS = ("median µs", "longest", "number")
_SENT = ("EVAL", "EVALSHA", "SCAN", "UNLINK")  # the others run within scripts


def run(scale: Scale) -> None:
    """Print how long the commands of each call took, by the server's slow log."""
    with temporary_redis() as (server, _), connected(server) as client:
        client.execute("CONFIG", "SET", "slowlog-log-slower-than", 0)
        client.execute("CONFIG", "SET", "slowlog-max-len", _ALL)
        count = scale.sessions_of_one_user
        print_row(f"a user with {count:,} sessions", *_COLUMNS)
        _measure_sessions(client, count)
        names = [f"user:{number}" for number in range(scale.keys_of_one_commit)]
        print()
        print_row(f"a commit that changes {len(names):,} keys", *_COLUMNS)
        _measure_cache(client, names)
        print()
        print_row("a rate limit with 64 entries", *_COLUMNS)
        _measure_limits(client)


def _measure_sessions(client: RedisClient, count: int) -> None:
    before, store = SessionStore(client, max_per_user=count), SessionStore(client)

    def fill() -> None:
        missing = count - int(client.execute("ZCARD", f"user:sessions:{_USER}"))
        for _ in range(missing):
            before.create(_USER, {"username": "john_doe", "role": "user"}, auth_epoch=None)

    def overwrite() -> None:
        fill()
        client.set(f"user:sessions:{_USER}", "odd")

    _measure(client, "SessionStore.list", fill, lambda: store.list(_USER))
    _measure(client, "SessionStore.create", fill, lambda: store.create(_USER, {}))
    _measure(client, "SessionStore.list, an odd index", overwrite, lambda: store.list(_USER))
    _measure(client, "SessionStore.revoke_all", fill, lambda: store.revoke_all(_USER, auth_epoch=1))


def _measure_cache(client: RedisClient, names: list[str]) -> None:
    cache = Cache(client)

    def fill() -> None:
        cache.put_many(dict.fromkeys(names, 1), ttl=60)

    _measure(client, "Cache.fence and unfence", fill, lambda: cache.unfence(cache.fence(names)))
    _measure(client, "Cache.invalidate", fill, lambda: cache.invalidate(*names))


def _measure_limits(client: RedisClient) -> None:
    limiter = Limiter(client)
    limits = [RateLimit(name, 1_000_000, 3600) for name in ("a", "b", "c")]
    charges = [Charge(limit, "10.0.0.1") for limit in limits]
    for _ in range(64):
        decision = limiter.hit(*charges)
    _measure(client, "Limiter.hit, three limits", int, lambda: limiter.hit(*charges))
    _measure(client, "Limiter.refund, three limits", int, lambda: limiter.refund(decision))


def _measure(
    client: RedisClient, name: str, prepare: Callable[[], object], call: Callable[[], object]
) -> None:
    """Print the round with the least longest command: interruptions only add to it."""
    rounds: list[list[int]] = []
    for _ in range(_ROUNDS):
        prepare()
        client.execute("SLOWLOG", "RESET")
        call()
        entries = client.execute("SLOWLOG", "GET", _ALL)
        rounds.append([int(entry[2]) for entry in entries if entry[3][0].upper() in _SENT])
    times = min(rounds, key=max)
    print_row(name, str(int(median(times))), str(max(times)), str(len(times)))
