"""A request for a user, and a registration, beside what else one could do them with."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from importlib import metadata
from statistics import median

from argon2 import PasswordHasher

import redis
from common.pyportal_common.redis_server import RedisServer

from .load import load, request
from .reads import PEERS, Contender, bare, extensions, measure, ours
from .servers import own_redis
from .service import Users

_ROUNDS = 7
_SECONDS = 1.0  # of a round
_OF_ALL = ("Flask", "gunicorn", "redis")
_OF_PEERS = ("Flask-Session", "Flask-Limiter", "limits", "Flask-Caching")


def run() -> None:
    """Print both comparisons, and which versions they are of."""
    if not PEERS.is_dir():
        raise SystemExit("the peers are not installed: make bench installs them")
    with own_redis() as (server, folder), ExitStack() as stack:
        users, mine = ours(stack, server, folder)
        floor = bare(stack, mine.user)
        theirs = [
            extensions(stack, server, folder, mine.user, strategy=strategy, db=db)
            for db, strategy in enumerate(("moving-window", "fixed-window"), start=1)
        ]
        contenders = [floor, mine, *theirs]
        measure(contenders, server)
        _print_reads(contenders)
        _compare_registrations(users)
        print("\n" + _versions(server))


def _print_reads(contenders: list[Contender]) -> None:
    floor = contenders[0]
    print(f"{'GET a user':<34} {'req/s':>7} {'ratio':>7} {'trips':>7} {'p50 ms':>7} {'p99 ms':>7}")
    for one in contenders:
        times = f"{one.latency_ms(50):>7.1f} {one.latency_ms(99):>7.1f}"
        ratio = one.ratio_to(floor)
        print(f"{one.name:<34} {one.rate:>7.0f} {ratio:>7.2f} {one.trips:>7.1f} {times}")
    print(
        f"\nthe client itself takes {floor.client_us:.0f} µs of a core for a request to the first"
    )


def _compare_registrations(users: Users) -> None:
    print(f"\n{'registrations a second':<34} {'argon2':>7} {'ours':>7} {'ratio':>7}")
    for at_once in (1, 8):
        hashes, registrations = [], []
        for _ in range(_ROUNDS):
            hashes.append(_hash(at_once))
            answers = load(
                users.port, _registrations(users), connections=at_once, seconds=_SECONDS, status=201
            )
            registrations.append(answers.rate)
        ratio = median(b / a for a, b in zip(hashes, registrations, strict=True))
        rates = f"{median(hashes):>7.1f} {median(registrations):>7.1f}"
        print(f"{f'{at_once} at a time':<34} {rates} {ratio:>7.2f}")


def _registrations(users: Users) -> Iterator[bytes]:
    while True:
        yield request("POST", "/api/v1/airliner/registerUser", {}, users.registration())


def _hash(threads: int) -> float:
    """Hashes a second, with the parameters of the service's passwords.py."""
    hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
    began = time.perf_counter()

    def work(_: int) -> int:
        done = 0
        while time.perf_counter() - began < _SECONDS:
            hasher.hash("correct-horse-battery")
            done += 1
        return done

    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(work, range(threads))) / (time.perf_counter() - began)


def _versions(server: RedisServer) -> str:
    found = PEERS.glob("lib/python*/site-packages")
    installed = metadata.distributions(path=[str(path) for path in found])
    versions = {package.name: package.version for package in installed}
    with redis.Redis(port=server.port) as client:
        shared = [f"Redis server {client.info('server')['redis_version']}"]
    shared += [f"{name} {versions[name]}" for name in _OF_ALL]
    return ", ".join(shared) + "\n" + ", ".join(f"{name} {versions[name]}" for name in _OF_PEERS)
