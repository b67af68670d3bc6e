"""Services and workers start in any order: before Redis, before SQL, and before the schema."""

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import make_url

from common.pyportal_common.redis_server import RedisServer, free_port
from common.pyportal_common.testing.relay import SwitchedRelay
from local.client import ApiResponse

from .service_processes import SECONDS, ServiceProcesses, processes_of
from .waiting import wait_until

pytestmark = pytest.mark.slow


class Servers:
    """A Redis server and the way to PostgreSQL, neither of which is there at first."""

    def __init__(self, binary: Path, folder: Path, postgres_url: str) -> None:
        self.redis = RedisServer(binary, folder / "redis")
        self._postgres = make_url(postgres_url)
        self._sql_port = free_port()
        self._relay: SwitchedRelay | None = None
        self.variables = {
            "REDIS_URL": self.redis.url,
            "DATABASE_URL": self._postgres.set(port=self._sql_port).render_as_string(
                hide_password=False
            ),
        }

    def start_sql(self) -> None:
        port = self._postgres.port
        assert port is not None
        self._relay = SwitchedRelay(port, port=self._sql_port)

    def close(self) -> None:
        self.redis.kill()
        if self._relay is not None:
            self._relay.close()


@pytest.fixture
def servers(redis_binary: Path, tmp_path: Path, own_postgres_url: str) -> Iterator[Servers]:
    servers = Servers(redis_binary, tmp_path, own_postgres_url)
    yield servers
    servers.close()


@pytest.fixture
def start(servers: Servers, tmp_path: Path) -> Iterator[Callable[[str], ServiceProcesses]]:
    """Makes the processes of a service with these servers."""
    with ExitStack() as stack:
        yield lambda service: stack.enter_context(
            processes_of(service, tmp_path, **servers.variables)
        )


def assert_unavailable(response: ApiResponse) -> None:
    assert response.status == 503, response
    assert int(response.headers["Retry-After"]) >= 1


def readiness(service: ServiceProcesses) -> tuple[int, dict[str, str]]:
    response = service.request("GET", "/readyz")
    return response.status, response.body


SERVICES = ["usermanagement", "taskprocessing", "notification"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_starts_before_all_it_needs_and_recovers_by_itself(
    name: str, servers: Servers, start: Callable[[str], ServiceProcesses]
) -> None:
    service = start(name)

    service.web()

    assert readiness(service) == (
        503,
        {"status": "unavailable", "redis": "unavailable", "database": "unavailable"},
    )
    servers.start_sql()
    service.migrate()
    wait_until(
        lambda: readiness(service) == (200, {"status": "degraded", "redis": "unavailable"}), SECONDS
    )
    servers.redis.start()
    wait_until(lambda: readiness(service) == (200, {"status": "ok"}), SECONDS)


def test_requests_get_503_with_retry_after_until_sql_is_there(
    servers: Servers, start: Callable[[str], ServiceProcesses]
) -> None:
    servers.redis.start()
    service = start("usermanagement")
    service.web()

    assert_unavailable(service.register("john"))
    assert_unavailable(service.log_in("john"))

    servers.start_sql()
    service.migrate()
    assert service.register("john").status == 201
    assert service.log_in("john").status == 200


def test_without_redis_users_register_and_cannot_log_in(
    servers: Servers, start: Callable[[str], ServiceProcesses]
) -> None:
    servers.start_sql()
    service = start("usermanagement")
    service.migrate()
    service.web()

    assert service.register("john").status == 201
    assert_unavailable(service.log_in("john"))

    servers.redis.start()
    wait_until(lambda: service.log_in("john").status == 200, SECONDS)


def test_a_service_that_starts_before_the_migrations_recovers_after_them(
    servers: Servers, start: Callable[[str], ServiceProcesses]
) -> None:
    servers.redis.start()
    servers.start_sql()
    service = start("usermanagement")
    service.web()

    before = service.register("john")

    assert before.status == 503
    service.migrate()
    assert service.register("john").status == 201


def test_db_wait_ends_when_sql_is_there_and_migrated(
    servers: Servers, start: Callable[[str], ServiceProcesses]
) -> None:
    service = start("usermanagement")

    waiting = service._start("-m", "flask", "--app", "wsgi", "db", "wait")

    wait_until(lambda: "The SQL database does not answer: connection" in service.log(), SECONDS)
    servers.start_sql()
    wait_until(lambda: "The schema is at nothing" in service.log(), SECONDS)
    assert waiting.poll() is None
    service.migrate()
    assert waiting.wait(SECONDS) == 0
    assert "Traceback" not in service.log()


def test_db_wait_says_why_and_ends_at_sigterm(
    servers: Servers, start: Callable[[str], ServiceProcesses]
) -> None:
    servers.start_sql()
    service = start("usermanagement")
    service.variables["DATABASE_URL"] += "_that_is_missing"

    waiting = service._start("-m", "flask", "--app", "wsgi", "db", "wait")

    wait_until(lambda: '_that_is_missing" does not exist' in service.log(), SECONDS)
    waiting.terminate()
    # A status of its own: without a handler the first process of a container would go on.
    assert waiting.wait(SECONDS) == 128 + signal.SIGTERM


@pytest.mark.parametrize("first", ["redis", "sql"])
def test_a_worker_starts_before_all_it_needs_and_then_runs_what_waits(
    first: str, servers: Servers, start: Callable[[str], ServiceProcesses]
) -> None:
    service = start("usermanagement")
    worker = service.worker()
    appear = {"redis": servers.redis.start, "sql": servers.start_sql}

    appear.pop(first)()
    [last] = appear.values()
    last()

    service.migrate()
    service.web()
    assert service.register("john").status == 201
    wait_until(lambda: health(service)["workers"] == "ok", SECONDS)
    assert worker.poll() is None


def health(service: ServiceProcesses) -> dict[str, str]:
    found: dict[str, str] = service.request("GET", "/health").body["checks"]
    return found


def test_migrations_say_that_sql_is_away_and_fail(start: Callable[[str], ServiceProcesses]) -> None:
    done = start("usermanagement").flask("db", "upgrade")

    assert done.returncode == 1
    assert "The SQL database does not answer: " in done.stderr
    assert "Traceback" not in done.stderr
