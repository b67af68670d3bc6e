"""A network that swallows what is sent: no connection breaks, and no answer comes."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, make_url, text
from sqlalchemy.exc import OperationalError

from common.pyportal_common.cache_handlers import RedisUnavailable
from common.pyportal_common.db.engines import open_engine
from common.pyportal_common.redis_server import RedisServer
from common.pyportal_common.testing.relay import SwitchedRelay
from local.client import ApiResponse

from .load import Connect
from .service_processes import SECONDS, ServiceProcesses, processes_of
from .waiting import wait_until

SWALLOWED = "did not answer within"


def through(relay: SwitchedRelay, url: str) -> str:
    """The URL of the same database behind a relay."""
    return make_url(url).set(port=relay.port).render_as_string(hide_password=False)


@pytest.fixture
def sql_relay(postgres_url: str) -> Iterator[SwitchedRelay]:
    port = make_url(postgres_url).port
    assert port is not None
    relay = SwitchedRelay(port)
    yield relay
    relay.close()


@pytest.fixture
def engine(sql_relay: SwitchedRelay, postgres_url: str) -> Iterator[Engine]:
    """An engine with one connection, which is open, and a second for each statement."""
    engine = open_engine(through(sql_relay, postgres_url), pool_size=1, statement_seconds=1)
    assert answers(engine)
    yield engine
    engine.dispose()


def answers(engine: Engine) -> bool:
    with engine.connect() as connection:
        return bool(connection.scalar(text("SELECT 1")) == 1)


class TestPostgresql:
    def test_a_statement_ends_though_no_answer_comes(
        self, engine: Engine, sql_relay: SwitchedRelay
    ) -> None:
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
            sql_relay.become("swallowing")

            with pytest.raises(OperationalError, match=SWALLOWED):
                connection.execute(text("SELECT 1"))

            assert connection.invalidated

    def test_a_commit_ends_though_no_answer_comes(
        self, engine: Engine, sql_relay: SwitchedRelay
    ) -> None:
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
            sql_relay.become("swallowing")

            with pytest.raises(OperationalError, match=SWALLOWED):
                connection.commit()

    def test_connecting_ends_though_no_answer_comes(
        self, engine: Engine, sql_relay: SwitchedRelay
    ) -> None:
        sql_relay.become("swallowing")

        with pytest.raises(OperationalError, match="timeout expired"):
            engine.connect()

    def test_an_idle_connection_that_a_firewall_dropped_is_replaced(
        self, engine: Engine, sql_relay: SwitchedRelay
    ) -> None:
        sql_relay.become("swallowing")
        sql_relay.become("open")

        assert answers(engine)

    def test_the_server_ends_a_statement_that_takes_too_long(
        self, engine: Engine, postgres_url: str
    ) -> None:
        with (
            engine.connect() as connection,
            pytest.raises(OperationalError, match="statement timeout"),
        ):
            connection.execute(text("SELECT pg_sleep(600)"))

        with psycopg.connect(postgres_url.replace("+psycopg", "")) as other:
            running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%'"
            [count] = other.execute(
                f"{running} AND state = 'active' AND pid != pg_backend_pid()"
            ).fetchone() or [-1]
        assert count == 0

    def test_the_kernel_sends_keepalives_and_gives_up(self, engine: Engine) -> None:
        with engine.connect() as connection:
            driver: Any = connection.connection.dbapi_connection
            with socket.socket(fileno=socket.dup(driver.fileno())) as duplicate:
                found = tcp_options(duplicate, "KEEPIDLE", "KEEPINTVL", "KEEPCNT", "USER_TIMEOUT")

        assert found == (60, 10, 3, 30_000)


def tcp_options(connection: socket.socket, *names: str) -> tuple[int, ...]:
    options = (getattr(socket, f"TCP_{name}") for name in names)
    return tuple(connection.getsockopt(socket.IPPROTO_TCP, option) for option in options)


class TestRedis:
    def test_an_idle_connection_that_a_firewall_dropped_costs_the_read_timeout_once(
        self, redis_server: RedisServer, connect: Connect
    ) -> None:
        with closing(SwitchedRelay(redis_server.port)) as relay:
            client = connect(relay, read_timeout=0.2)
            assert client.ping()
            relay.become("swallowing")
            relay.become("open")

            with pytest.raises(RedisUnavailable, match="Timeout"):
                client.get("a")

            wait_until(lambda: not client.breaker.is_open, SECONDS)
            assert client.get("a") is None

    def test_the_kernel_sends_keepalives(self, redis_server: RedisServer, connect: Connect) -> None:
        pool: Any = connect(redis_server)._pool
        connection = pool.get_connection()

        assert connection._sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert tcp_options(connection._sock, "KEEPIDLE", "KEEPINTVL", "KEEPCNT") == (60, 10, 3)
        pool.release(connection)


@pytest.fixture
def redis_relay(redis_server: RedisServer) -> Iterator[SwitchedRelay]:
    relay = SwitchedRelay(redis_server.port)
    yield relay
    relay.close()


@pytest.fixture
def service(
    redis_relay: SwitchedRelay, sql_relay: SwitchedRelay, own_postgres_url: str, tmp_path: Path
) -> Iterator[ServiceProcesses]:
    """User Management with a user, behind relays to Redis and to PostgreSQL."""
    with processes_of(
        "usermanagement",
        tmp_path,
        REDIS_URL=redis_relay.url,
        DATABASE_URL=through(sql_relay, own_postgres_url),
        DATABASE_TIMEOUT_SECONDS="2",
    ) as service:
        service.migrate()
        service.web()
        assert service.register("john").status == 201
        wait_until(lambda: service.log_in("john").status == 200, SECONDS)
        yield service


def at_once(service: ServiceProcesses, names: list[str]) -> list[ApiResponse]:
    """The responses to registrations that are sent at the same time."""
    with ThreadPoolExecutor(len(names)) as clients:
        return list(clients.map(service.register, names))


@pytest.mark.slow
def test_requests_are_answered_while_the_network_to_sql_swallows_and_work_afterwards(
    service: ServiceProcesses, sql_relay: SwitchedRelay
) -> None:
    sql_relay.become("swallowing")

    responses = at_once(service, [f"swallowed{n}" for n in range(12)])  # more than threads

    assert {response.status for response in responses} == {503}
    assert all(int(response.headers["Retry-After"]) >= 1 for response in responses)
    assert service.request("GET", "/readyz").body["database"] == "unavailable"
    assert service.status("/livez") == 200
    sql_relay.become("open")
    assert {response.status for response in at_once(service, [f"after{n}" for n in range(12)])} == {
        201
    }


@pytest.mark.slow
def test_a_network_that_swallows_in_the_middle_of_a_transaction_holds_no_thread_and_no_lock(
    service: ServiceProcesses, sql_relay: SwitchedRelay, own_postgres_url: str
) -> None:
    blocker = psycopg.connect(own_postgres_url.replace("+psycopg", ""))
    blocker.execute("LOCK TABLE users IN EXCLUSIVE MODE")
    with ThreadPoolExecutor(1) as clients:
        began = clients.submit(service.register, "blocked")
        wait_until(lambda: waiting(own_postgres_url) == 1, SECONDS)
        sql_relay.become("swallowing")
        blocker.close()

        assert began.result().status == 503

    sql_relay.become("open")
    wait_until(lambda: service.register("blocked").status == 201, SECONDS)


def waiting(url: str) -> int:
    """How many transactions of this database wait for a lock."""
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        query = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        [count] = connection.execute(query).fetchone() or [0]
        return int(count)


@pytest.mark.slow
def test_while_the_network_to_redis_swallows_users_register_and_get_503_for_sessions(
    service: ServiceProcesses, redis_relay: SwitchedRelay
) -> None:
    redis_relay.become("swallowing")

    responses = at_once(service, [f"swallowed{n}" for n in range(12)])

    # At most half of the threads wait for trust to end: the others answer at once.
    assert {response.status for response in responses} <= {201, 503}
    assert service.register("alone").status == 201
    log_in = service.log_in("john")
    assert (log_in.status, log_in.headers["Retry-After"]) == (503, "2")
    redis_relay.become("open")
    wait_until(lambda: service.log_in("john").status == 200, SECONDS)
