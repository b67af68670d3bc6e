"""Hosts whose clocks differ by up to a minute: times are compared by one clock."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, NullPool, create_engine, make_url, text

from common.pyportal_common.cache_handlers import Cache, RedisClient, SessionStore
from common.pyportal_common.db import RECORDS, Database, current_time
from common.pyportal_common.db.clock import ServerClock
from common.pyportal_common.redis_server import RedisServer
from local.client import API

from ..portal_api import registration
from .load import ROOT, Connect
from .operations import Table, new_operation
from .service_processes import SECONDS, ServiceProcesses, processes_of
from .skewed_clocks import Skew, skew
from .waiting import wait_until

FAST, SLOW = 30, -30  # seconds, of hosts
POSTGRES = -20
REDIS = 20

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def skewed() -> Iterator[Skew]:
    with skew() as library:
        yield library


@pytest.fixture(scope="module")
def postgres(skewed: Skew) -> Iterator[str]:
    with skewed.postgres(POSTGRES) as url:
        yield url


@pytest.fixture(scope="module")
def redis(skewed: Skew, redis_binary: Path) -> Iterator[RedisServer]:
    with skewed.redis(redis_binary, REDIS) as server:
        yield server


def is_close(one: datetime, other: datetime) -> bool:
    """Whether two times are the same but for what a busy machine takes."""
    return abs((one - other).total_seconds()) < 8


class TestServerClock:
    def test_it_goes_on_with_the_monotonic_clock(self, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = ServerClock()
        monkeypatch.setattr("common.pyportal_common.db.clock.monotonic", lambda: 107.0)

        clock.note(NOON, 100.0, 102.0)

        assert clock.now() == NOON + timedelta(seconds=6)  # it was noon at 101, or a second off

    def test_an_answer_that_agrees_changes_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """So the time does not go back and forth with the time that answers take."""
        clock = ServerClock()
        monkeypatch.setattr("common.pyportal_common.db.clock.monotonic", lambda: 200.0)
        clock.note(NOON, 100.0, 100.0)

        clock.note(NOON + timedelta(seconds=50), 149.0, 153.0)

        assert clock.now() == NOON + timedelta(seconds=100)

    @pytest.mark.parametrize("by", [-3600, 3600])
    def test_it_follows_a_server_whose_clock_is_set(
        self, by: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock = ServerClock()
        monkeypatch.setattr("common.pyportal_common.db.clock.monotonic", lambda: 200.0)
        clock.note(NOON, 100.0, 100.0)

        clock.note(NOON + timedelta(seconds=50 + by), 150.0, 150.0)

        assert clock.now() == NOON + timedelta(seconds=100 + by)


def own_engine(url: str) -> Engine:
    return create_engine(url, poolclass=NullPool)


class TestDatabase:
    def test_its_time_is_that_of_the_server(self, postgres: str) -> None:
        with closing(Database(postgres)) as database:
            before_any_statement = database.now()
            with database.begin() as tx:
                found = current_time(tx), tx.connection().scalar(text("SELECT clock_timestamp()"))

        assert is_close(before_any_statement, found[0])
        assert is_close(*found)
        assert not is_close(found[0], datetime.now(UTC))

    def test_an_app_with_an_engine_of_its_own_has_it_too(
        self, postgres: str, redis_client: RedisClient
    ) -> None:
        engine = own_engine(postgres)
        with closing(Database(engine, cache=Cache(redis_client))) as database:
            assert is_close(database.now(), datetime.now(UTC) + timedelta(seconds=POSTGRES))

    def test_records_are_swept_when_they_are_a_second_old_by_the_clock_of_the_server(
        self, postgres: str, redis_client: RedisClient
    ) -> None:
        engine = own_engine(postgres)
        RECORDS.create(engine)
        with closing(Database(postgres, cache=Cache(redis_client))) as database:
            assert database.invalidations is not None
            records = database.invalidations.records
            with engine.begin() as connection:
                connection.execute(
                    text(
                        "INSERT INTO cache_invalidations (keys, revocations, created_at)"
                        " VALUES ('[]', '[]', clock_timestamp()),"
                        " ('[]', '[]', clock_timestamp() - interval '15 minutes')"
                    )
                )

            due = records.due(timedelta(minutes=10), 10)

            assert [record.id for record in due] == [2]
            assert 899 < records.oldest_pending_seconds() + 900 < 1800
        RECORDS.drop(engine)


class TestSessions:
    @pytest.fixture(params=[-3600, 3600], ids=["an hour behind", "an hour ahead"])
    def store(
        self,
        request: pytest.FixtureRequest,
        skewed: Skew,
        redis_binary: Path,
        connect: Connect,
    ) -> Iterator[SessionStore]:
        with skewed.redis(redis_binary, request.param) as server:
            yield SessionStore(connect(server))

    def test_a_login_is_as_old_as_it_is_whatever_the_time_of_redis(
        self, store: SessionStore
    ) -> None:
        session = store.create(7, {})

        loaded = store.load(session.session_id)

        assert not is_close(session.auth_at, datetime.now(UTC))
        assert loaded is not None
        assert 0 <= loaded.auth_age_seconds < SECONDS


@pytest.fixture
def workers(skewed: Skew, postgres: str, redis: RedisServer, tmp_path: Path) -> Iterator[Path]:
    """The log of two workers, on hosts whose clocks differ by a minute."""
    log = tmp_path / "workers.log"
    command = [sys.executable, "-m", "tests.common.worker", postgres, "30"]
    started = []
    with log.open("ab") as output:
        for seconds in (FAST, SLOW):
            variables = {**os.environ, **skewed.by(seconds), "REDIS_URL": redis.url}
            started.append(
                subprocess.Popen(command, cwd=ROOT, env=variables, stdout=output, stderr=output)
            )
    yield log
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_jobs_are_run_once_and_no_lease_is_lost(postgres: str, workers: Path) -> None:
    """A lease is 15 seconds, and the clocks of the two workers are a minute apart."""
    table = Table(Database(postgres))
    table.create()
    try:
        wait_until(lambda: workers.read_text().count("The worker runs") == 2, SECONDS)
        with table.database.begin() as tx:
            for _ in range(24):
                table.jobs.put(tx, new_operation("slow"))
            delayed = new_operation()
            table.jobs.put(tx, delayed)
            table.jobs.delay(delayed, 5.0)

        wait_until(lambda: len(table.effects()) == 25, 2 * SECONDS)

        rows = [table.row(job_id) for job_id, _ in table.effects()]
        assert sorted(row.id for row in rows) == sorted({row.id for row in rows})
        assert {row.attempts for row in rows} == {1}
        assert "were lost with their worker" not in workers.read_text()
        last = table.row(delayed.id)
        assert last.started_at is not None
        assert (last.started_at - last.created_at).total_seconds() >= 5
    finally:
        table.drop()
        table.database.close()


@pytest.fixture
def hosts(
    skewed: Skew, postgres: str, redis: RedisServer, tmp_path: Path
) -> Iterator[tuple[ServiceProcesses, ServiceProcesses, str]]:
    """User Management on two hosts, each with a worker, and the URL of its database."""
    with (
        own_engine(postgres).connect().execution_options(isolation_level="AUTOCOMMIT") as connection
    ):
        connection.execute(text("CREATE DATABASE skewed"))
    url = make_url(postgres).set(database="skewed").render_as_string(hide_password=False)
    variables = {"DATABASE_URL": url, "REDIS_URL": redis.url}
    with ExitStack() as stack:
        fast, slow = (
            stack.enter_context(
                processes_of("usermanagement", tmp_path, **variables, **skewed.by(seconds))
            )
            for seconds in (FAST, SLOW)
        )
        fast.migrate()
        for host in (fast, slow):
            host.web()
            host.worker()
        yield fast, slow, url


def rows(url: str, query: str) -> list[Any]:
    engine = own_engine(url)
    with engine.connect() as connection:
        return list(connection.execute(text(query)))


def token_of(url: str, name: str) -> str:
    """The token of the link in the last mail of a kind, which waits for Notification."""
    bodies = rows(url, "SELECT CAST(body AS text) FROM events ORDER BY id")
    joined = " ".join(body for [body] in bodies)
    return str(re.findall(rf"/app/{name}#token=([\w-]+)", joined)[-1])


@pytest.mark.slow
def test_hosts_a_minute_apart_share_sessions_links_and_schedules(
    hosts: tuple[ServiceProcesses, ServiceProcesses, str],
) -> None:
    fast, slow, url = hosts

    for one, other, name in ((fast, slow, "john"), (slow, fast, "jane")):
        # A request that is repeated at the other host.
        user, key = registration(name), {"Idempotency-Key": name}
        register = f"{API}/registerUser"
        assert one.request("POST", register, user, headers=key).status == 201
        again = other.request("POST", register, user, headers=key)
        assert (again.status, again.headers["Idempotency-Replayed"]) == (201, "true")

        # The link in the mail.
        verify = {"token": token_of(url, "verify")}
        assert other.request("POST", f"{API}/email/verify", verify).status == 204

        # A session, and what requires a fresh login.
        login = one.log_in(name).body
        session = {"session_id": login["session_id"]}
        assert other.request("GET", f"{API}/users/me", **session).status == 200
        change = {"email": f"{name}@example.org"}
        assert other.request("PATCH", f"{API}/users/me", change, **session).status == 200

    # Ticks begin when they are due, by the clock of the database.
    early = "SELECT name, tick, clock_timestamp() FROM schedules WHERE tick > clock_timestamp()"
    ticks = "SELECT name, tick, status FROM schedules WHERE name = 'delete-old-keys'"

    def has_ticked() -> bool:
        assert rows(url, early) == []
        return len({tick for _, tick, status in rows(url, ticks) if status == "done"}) >= 2

    wait_until(has_ticked, 120 + SECONDS)
    health = fast.request("GET", "/health").body["checks"]
    assert (health["workers"], health["database"]) == ("ok", "ok")
