"""Short runs of every kind: no promise is broken, and the checks find each mutant."""

import os
import re
import subprocess
import sys

import pytest

from common.pyportal_common.redis_server import redis_server_on_path
from common.pyportal_common.testing.plugin import missing
from common.pyportal_common.testing.postgres import postgres_binaries
from reliability.settings import ROOT

pytestmark = pytest.mark.slow

CACHE = "cache --seconds 8 --seed 6"
TASKS = "tasks --bookings 120 --seconds 10 --seed 3"
HTTP = "http --operations 2400 --seed 5 --trust 1"
LONG_HTTP = "http --operations 9000 --seed 5 --trust 1 --sessions apart"  # several faults
ONE_TRIP = "http --operations 12000 --seed 5 --trust 1 --sessions databases"
TOPOLOGY = "topologies --topology"
PATIENT = {"REDIS_READ_TIMEOUT": "3"}  # half a second of a busy machine is no fault
NOTIFICATIONS = "notifications --number 100 --seconds 10 --seed 3"
MUTANT_RUNS = 3  # whether a run meets one depends on how its processes take turns, too


def run(
    arguments: str, *, timeout: float = 240, **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "reliability", *arguments.split()],
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )


@pytest.mark.parametrize(
    "arguments",
    [CACHE, TASKS, f"{TASKS} --postgres", NOTIFICATIONS, f"{NOTIFICATIONS} --postgres"],
)
def test_no_promise_is_broken(arguments: str) -> None:
    if "--postgres" in arguments and postgres_binaries() is None:
        missing("PostgreSQL")

    ended = run(arguments)

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "\n0 violations\n" in ended.stdout
    if arguments == CACHE:
        assert "redis-killed:loses-writes" in ended.stdout  # the first fault of this seed


@pytest.mark.parametrize("sessions", ["together --postgres", "databases", "apart"])
def test_no_read_over_http_is_stale_after_an_answer(sessions: str) -> None:
    if "--postgres" in sessions and postgres_binaries() is None:
        missing("PostgreSQL")

    ended = run(f"{HTTP} --sessions {sessions}")

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "\n0 stale reads\n" in ended.stdout
    assert "writes-refused" in ended.stdout  # the first fault of this seed


def test_no_read_at_another_instance_over_postgresql_is_stale_after_an_answer() -> None:
    if postgres_binaries() is None:
        missing("PostgreSQL")

    ended = run(f"{LONG_HTTP} --postgres --instances 3")

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "\n0 stale reads\n" in ended.stdout
    (crossed,) = re.findall(r"([\d,]+) reads at another instance", ended.stdout)
    assert int(crossed.replace(",", "")) > 1000
    assert re.search(r"cut-off:instance\d:", ended.stdout)


@pytest.mark.parametrize(
    "faults", ["plain --fault service-cut-off", "sentinel-tls-acl --fault failover"]
)
def test_a_fault_under_load_breaks_no_promise(faults: str) -> None:
    if faults.startswith("sentinel") and redis_server_on_path() is None:
        missing("redis-server, which can be a sentinel")

    ended = run(f"{TOPOLOGY} {faults}", timeout=600, **PATIENT)

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "\n0 violations\n" in ended.stdout


@pytest.mark.parametrize(
    ("arguments", "violation"),
    [
        ("tasks --bookings 120 --seconds 6 --seed 2 --without transaction", "seats of flight"),
        ("notifications --number 100 --seconds 5 --seed 2 --without id", "but its message id is"),
        (f"{LONG_HTTP} --without waiting", "after a newer one was answered"),
        (f"{LONG_HTTP} --without renewal-write", "after a newer one was answered"),
        (f"{ONE_TRIP} --without trust-of-reads", "after a newer one was answered"),
    ],
)
def test_a_mutant_is_found(arguments: str, violation: str) -> None:
    for _ in range(MUTANT_RUNS):
        ended = run(arguments)
        if ended.returncode != 0:
            break

    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert violation in ended.stdout


def test_plain_cache_aside_breaks_promises() -> None:
    ended = run("cache --seconds 12 --seed 6 --plain")

    assert ended.returncode == 0, ended.stderr
    for promise in ("nothing older than what was answered", "nothing older than what was seen"):
        assert f"! {promise}" in ended.stdout
