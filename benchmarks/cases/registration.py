"""A registration over HTTP, beside argon2 alone."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from argon2 import PasswordHasher

from ..load import load, request
from ..scale import Scale
from ..servers import temporary_redis
from ..tables import Aim, Report, Table, ratios, spread
from ..usermanagement import API, PASSWORD, Users, new_name, registration, usermanagement

_AT_LEAST = 0.75


def run(scale: Scale) -> Report:
    """Measure both, one and eight at a time."""
    table = Table(("at a time", "workers", "argon2/s", "registrations/s", "÷ argon2"))
    aims = []
    with temporary_redis() as (server, folder), ExitStack() as stack:
        portals = {
            workers: stack.enter_context(usermanagement(server, folder, workers=workers))
            for workers in scale.workers
        }
        for at_once in scale.at_once:
            hashes, found = _measure(portals, at_once, scale)
            for workers, rates in found.items():
                shares = ratios(rates, hashes)
                cells = (spread(hashes, 1), spread(rates, 1), spread(shares))
                table.add(str(at_once), str(workers), *cells)
                what = f"registrations ÷ argon2, {at_once} at a time, workers: {workers}"
                aims.append(Aim(what, shares, at_least=_AT_LEAST))
    return Report([table], aims)


def _measure(
    portals: dict[int, Users], at_once: int, scale: Scale
) -> tuple[list[float], dict[int, list[float]]]:
    """The rates of argon2, and of registrations by the number of workers."""
    hashes: list[float] = []
    found: dict[int, list[float]] = {workers: [] for workers in portals}
    for _ in range(scale.rounds):
        hashes.append(_hashes_a_second(at_once, scale.seconds))
        for workers, users in portals.items():
            run = load(
                users.port,
                _registrations(),
                connections=at_once,
                seconds=scale.seconds,
                status=201,
            )
            found[workers].append(run.rate)
    return hashes, found


def _registrations() -> Iterator[bytes]:
    while True:
        yield request("POST", f"{API}/registerUser", {}, registration(new_name()))


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
