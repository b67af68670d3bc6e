"""Reading a user, beside other ways to do so in Flask; and a registration, beside argon2 alone."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from importlib import metadata
from statistics import median

import redis
from argon2 import PasswordHasher

from common.pyportal_common.redis_server import RedisServer

from .figures import median_ratio, print_row
from .load import figures_of, load, request
from .reads import PEERS, Contender, bare, extensions, measure, ours
from .scale import Scale
from .servers import temporary_redis
from .usermanagement import PASSWORD, Users

_STRATEGIES = ("moving-window", "fixed-window")
_SHARED_PACKAGES = ("Flask", "gunicorn", "redis")
_PACKAGES_OF_PEERS = ("Flask-Session", "Flask-Limiter", "limits", "Flask-Caching")


def run(scale: Scale) -> None:
    """Print both comparisons, and the versions of the packages."""
    installed = PEERS.is_dir()
    if not installed:
        print(
            "Skipping the peers, which are not installed: make .venv/peers.stamp installs them.\n"
        )
    with temporary_redis() as (server, folder), ExitStack() as stack:
        users, portal = ours(stack, server, folder)
        contenders = [bare(stack, portal.user), portal]
        for db, strategy in enumerate(_STRATEGIES if installed else (), start=1):
            contenders.append(
                extensions(stack, server, folder, portal.user, strategy=strategy, db=db)
            )
        measure(contenders, server, scale)
        _print_reads(contenders)
        _compare_registrations(users, scale)
        if installed:
            print("\n" + _versions(server))


def _print_reads(contenders: list[Contender]) -> None:
    floor = contenders[0]
    print_row("GET a user", "req/s", "ratio", "trips", "p50 ms", "p99 ms")
    for contender in contenders:
        rate, ratio, *latencies = figures_of(contender.runs, floor.runs)
        print_row(contender.name, rate, ratio, f"{contender.trips:.1f}", *latencies)
    print(f"\nthe client uses {floor.client_us:.0f} µs of a core for a request to the first")


def _compare_registrations(users: Users, scale: Scale) -> None:
    print()
    print_row("registrations a second", "argon2", "ours", "ratio")
    for at_once in (1, 8):
        hashes, registrations = [], []
        for _ in range(scale.load_rounds):
            hashes.append(_hashes_a_second(at_once, scale.load_seconds))
            responses = load(
                users.port,
                _registrations(users),
                connections=at_once,
                seconds=scale.load_seconds,
                status=201,
            )
            registrations.append(responses.rate)
        ratio = median_ratio(registrations, hashes)
        cells = (f"{median(hashes):.1f}", f"{median(registrations):.1f}", f"{ratio:.2f}")
        print_row(f"{at_once} at a time", *cells)


def _registrations(users: Users) -> Iterator[bytes]:
    while True:
        yield request("POST", "/api/v1/airliner/registerUser", {}, users.registration())


def _hashes_a_second(threads: int, seconds: float) -> float:
    """The rate of argon2 alone, with the parameters of User Management."""
    hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
    began = time.perf_counter()

    def work(_: int) -> int:
        done = 0
        while time.perf_counter() - began < seconds:
            hasher.hash(PASSWORD)
            done += 1
        return done

    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(work, range(threads))) / (time.perf_counter() - began)


def _versions(server: RedisServer) -> str:
    folders = PEERS.glob("lib/python*/site-packages")
    packages = metadata.distributions(path=[str(folder) for folder in folders])
    versions = {package.name: package.version for package in packages}
    with redis.Redis(port=server.port) as client:
        shared = [f"Redis server {client.info('server')['redis_version']}"]
    shared += [f"{name} {versions[name]}" for name in _SHARED_PACKAGES]
    peers = [f"{name} {versions[name]}" for name in _PACKAGES_OF_PEERS]
    return ", ".join(shared) + "\n" + ", ".join(peers)
