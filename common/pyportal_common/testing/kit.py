"""A pytest plugin for the tests of services, on a real Redis and a real SQL database.

A service's conftest.py defines the fixture `service`, which the other fixtures use. Tests run on
SQLite; `--sql postgresql` and `--sql all` select other databases. With `--redis plain-acl`, as with
all that end like this, services are users of Redis that may do no more than they need.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import create_engine, event, text
from werkzeug.test import TestResponse

from ..cache_handlers import RedisClient, RedisSettings, SessionStore, get_session_client
from ..db import Base, Database
from ..db.migrations import migrate
from ..jobs import JobHandler, JobRunner, Jobs
from ..jobs.outbox import BaseOutbox
from ..jobs.outbox_delivery import OutboxDelivery
from ..jobs.services import BaseServices
from ..redis_server import RedisServer
from .plans import PlanChecks
from .redis_kinds import RedisKind
from .routes import compile_routes_once
from .users import denials, url_of_user

_CHECKS = (
    "admin_checks",
    "console_checks",
    "front_checks",
    "service_checks",
    "recorded",
    "read_checks",
)
pytest.register_assert_rewrite(*(f"{__package__}.{name}" for name in _CHECKS))

API = "/api/v1/airliner"

_SQL = {"sqlite": ["sqlite"], "postgresql": ["postgresql"], "all": ["sqlite", "postgresql"]}
_REDIS_VARIABLES = ("REDIS_HOST", "REDIS_PORT", "REDIS_DB", "REDIS_PASSWORD")
_REDIS_URLS = {"REDIS_URL", "SESSION_REDIS_URL"}


@dataclass(frozen=True)
class ServiceUnderTest:
    """A service, as the kit uses it.

    `load` makes its settings from keyword arguments, `create` makes its app from the settings and
    from the `parts` that a test replaces, and `close` closes an app's connections. `defaults` are
    the settings that its tests have in common.
    """

    name: str
    migrations: Path
    load: Callable[..., Any]
    create: Callable[..., Flask]
    close: Callable[[Flask], None]
    defaults: Mapping[str, Any] = field(default_factory=dict)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--sql`."""
    parser.addoption("--sql", choices=_SQL, default="sqlite", help="the SQL databases to test on")


@pytest.fixture(scope="session", autouse=True)
def _routes_are_compiled_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        compile_routes_once(patch)
        yield


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run every test that uses a SQL database once on each kind that `--sql` selects."""
    if "sql_kind" in metafunc.fixturenames:
        kinds = _SQL[metafunc.config.getoption("--sql")]
        metafunc.parametrize("sql_kind", kinds, scope="session")


@pytest.fixture
def sql_url(sql_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a SQL database for tests that create their own tables, and drop them."""
    if sql_kind == "sqlite":
        return f"sqlite:///{tmp_path / 'test.sqlite3'}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture(scope="session")
def migrated_url(
    sql_kind: str,
    service: ServiceUnderTest,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> str:
    """The URL of a database with the service's current schema."""
    if sql_kind == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('sql') / service.name}.sqlite3"
    else:
        url = request.getfixturevalue("postgres_url")
    migrate(url, service.migrations)
    return url


@pytest.fixture(scope="session")
def scanned_tables() -> set[str]:
    """The tables that the service may read as a whole. Its conftest.py overrides this."""
    return set()


@pytest.fixture
def some_job_id() -> int:
    """The id of a job of the first kind. The conftest.py of a service with jobs overrides this."""
    return 1


@pytest.fixture(scope="session")
def plans(migrated_url: str, scanned_tables: set[str]) -> Iterator[PlanChecks]:
    """The plans of all statements that the service sends to this database."""
    checks = PlanChecks(migrated_url, scanned_tables)
    yield checks
    checks.close()


@pytest.fixture
def _no_full_scans(plans: PlanChecks) -> Iterator[None]:
    """No statement of the service reads all rows of a table, whatever the test is about."""
    yield
    faults = plans.faults()
    assert not faults, "\n".join(faults)  # noqa: S101


@pytest.fixture
def database_url(migrated_url: str, _no_full_scans: None) -> str:
    """The same database, with every table empty."""
    engine = create_engine(migrated_url)
    with engine.begin() as connection:
        for table in reversed(Base.metadata.sorted_tables):
            connection.execute(table.delete())
    engine.dispose()
    return migrated_url


@pytest.fixture(scope="session")
def as_service(service: ServiceUnderTest, redis_kind: RedisKind) -> Callable[[str], str]:
    """Makes the URL of a Redis server that of the service's user, if there are users."""
    if not redis_kind.acl:
        return lambda url: url
    return lambda url: url_of_user(service.name, url)


@pytest.fixture
def _nothing_denied(redis_server: RedisServer, redis_kind: RedisKind) -> Iterator[None]:
    """No user of Redis lacks a permission, whatever the test is about."""
    yield
    if redis_kind.acl:
        denied = denials(redis_server)
        assert not denied, "\n".join(denied)  # noqa: S101


@pytest.fixture
def client_of_service(
    as_service: Callable[[str], str], redis_server: RedisServer, _nothing_denied: None
) -> Iterator[RedisClient]:
    """A client of database 0 of `redis_server` with the permissions of the service."""
    settings = RedisSettings.load(url=as_service(redis_server.url), _env_file=None)
    client = RedisClient.connect(settings, db=0)
    yield client
    client.close()


@pytest.fixture
def make_app(
    service: ServiceUnderTest,
    as_service: Callable[[str], str],
    database_url: str,
    redis_server: RedisServer,
    _nothing_denied: None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[Callable[..., Flask]]:
    """Creates the service with settings beside the defaults: make_app(proxy_hops=1).

    `parts` are passed on to the service's `create`.
    """
    made: list[Flask] = []
    monkeypatch.chdir(tmp_path)
    for name in _REDIS_VARIABLES:
        monkeypatch.delenv(name, raising=False)

    def make(
        *,
        redis_url: str = redis_server.url,
        parts: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> Flask:
        monkeypatch.setenv("REDIS_URL", redis_url)
        quiet = {"cache_audit_seconds": 0}  # a thread would send commands that tests count
        given = {"database_url": database_url, **quiet, **service.defaults, **settings}
        with monkeypatch.context() as patch:  # what the test itself sends has no limits
            for name in _REDIS_URLS & os.environ.keys():
                patch.setenv(name, as_service(os.environ[name]))
            app = service.create(service.load(**given), **(parts or {}))
        made.append(app)
        return app

    yield make
    for app in made:
        service.close(app)


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """The service with its test defaults."""
    return make_app()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A client of `app` without a cookie jar."""
    return app.test_client(use_cookies=False)


def json_of(response: TestResponse) -> Any:
    """The body of a JSON response."""
    if response.json is None:
        pytest.fail(f"not JSON: {response.status} {response.text}")
    return response.json


def problem_of(response: TestResponse) -> tuple[int, list[str]]:
    """The status of an error response, and the fields that its details name."""
    return response.status_code, [detail["field"] for detail in json_of(response)["details"]]


def statements_of(database: Database) -> list[str]:
    """A list that grows by each SQL statement from now on, without its values."""
    statements: list[str] = []
    event.listen(
        database.engine, "before_cursor_execute", lambda *given: statements.append(given[2])
    )
    return statements


def wait_until_blocked(database: Database) -> None:
    """Return once a transaction of PostgreSQL waits for another. AssertionError if none does."""
    deadline = time.monotonic() + 60
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    while time.monotonic() < deadline:
        with database.read() as tx:
            if tx.scalar(waiting):
                return
        time.sleep(0.01)
    raise AssertionError("no transaction waits")


def session_headers(user_id: int, role: str = "user", **user_data: Any) -> dict[str, str]:
    """Headers with a new session of this user, created as User Management does."""
    store = SessionStore(get_session_client())
    return bearer(store.create(user_id, {"role": role, **user_data}).session_id)


def bearer(session_id: str) -> dict[str, str]:
    """Headers that present a session."""
    return {"Authorization": f"Bearer {session_id}"}


def run_due_jobs(jobs: Jobs[Any], handler: JobHandler) -> None:
    """Run due jobs in this thread, each once: the random pause before a retry may be short."""
    runner = JobRunner(jobs, handler)
    done: set[int] = set()
    while jobs.make_due() or jobs.are_ready():
        for claim in jobs.claim(1):
            if claim.row.id in done:
                runner.hand_back(claim)
                return
            done.add(claim.row.id)
            runner.do(claim)


def deliver_messages(outbox: BaseOutbox[Any]) -> None:
    """Deliver the messages of an outbox that are due, in this thread, until none is due."""
    deliveries = [OutboxDelivery(outbox, receiver) for receiver in outbox.receivers]
    while sum(delivery.run_pending() for delivery in deliveries):
        pass


def run_schedule(services: BaseServices, name: str) -> None:
    """Run one of the schedules of a service, as workers do at certain times."""
    [schedule] = (each for each in services.schedules() if each.name == name)
    schedule.run()
