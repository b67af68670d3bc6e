"""A few tests of services on each kind of Redis. `make verify-all` runs all of them there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from common.pyportal_common.testing.plugin import missing
from common.pyportal_common.testing.redis_kinds import KINDS, RedisKind

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
TESTS = {
    "usermanagement-service": [
        "test_redis_helper.py",
        "test_sessions.py::TestLimits::test_ten_logins_a_minute_per_client",
        "test_sessions.py::TestSessions::test_logging_out_ends_the_session",
    ],
    "taskprocessing-service": [
        "test_bookings.py::TestBooking::test_seats_are_sold_and_the_cache_has_the_new_number",
    ],
    "notification-service": ["test_redis_helper.py"],
}


# Half a second of a busy machine is no outage.
PATIENT = {f"REDIS_{name}_TIMEOUT": "10" for name in ("CONNECT", "READ", "POOL")}
ALL_AT_ONCE = "sentinel-tls-acl"
CASES = [("usermanagement-service", kind) for kind in KINDS if kind != "plain"]
CASES += [(service, ALL_AT_ONCE) for service in TESTS if service != "usermanagement-service"]


@pytest.mark.parametrize(("service", "kind"), CASES)
def test_services_work_on_each_kind_of_redis(service: str, kind: str) -> None:
    if RedisKind.parse(kind).binary() is None:
        missing(f"a server for {kind}")

    run = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-m", "", "--redis", kind),
            *(f"{service}/tests/{name}" for name in TESTS[service]),
        ],
        cwd=ROOT,
        env={**os.environ, **PATIENT},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )

    assert run.returncode == 0, run.stdout + run.stderr
    assert "skipped" not in run.stdout
