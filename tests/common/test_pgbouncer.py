"""PostgreSQL through PgBouncer in transaction mode: `?pooling=transaction`."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine, make_url, select, text
from sqlalchemy.exc import OperationalError

from common.pyportal_common.db import Database
from common.pyportal_common.db.engines import open_engine
from common.pyportal_common.jobs import JobRunner, Outcome, Run
from common.pyportal_common.redis_server import RedisServer, free_port
from common.pyportal_common.settings import ConfigurationError
from common.pyportal_common.testing.relay import SwitchedRelay
from local.client import API

from .operations import Effect, Operation, Table, add_effect, new_operation
from .poolers import running_pgbouncer
from .service_processes import SECONDS, processes_of
from .waiting import wait_until

pytestmark = pytest.mark.slow


@pytest.fixture
def pooled_url(own_postgres_url: str) -> Iterator[str]:
    with running_pgbouncer(own_postgres_url) as url:
        yield url


@pytest.fixture
def engine(pooled_url: str) -> Iterator[Engine]:
    """An engine with more connections than the pooler has to the server."""
    engine = open_engine(pooled_url, pool_size=8, statement_seconds=3)
    wait_until(lambda: can_connect(engine), SECONDS)
    yield engine
    engine.dispose()


def can_connect(engine: Engine) -> bool:
    try:
        engine.connect().close()
    except OperationalError:
        return False
    return True


def test_statements_that_are_repeated_work_on_each_connection_of_the_server(
    engine: Engine,
) -> None:
    clients = [engine.connect() for _ in range(4)]

    for number in range(12):  # psycopg prepares a statement when it is sent for the sixth time
        for client in clients:
            with client.begin():
                assert (
                    client.scalar(text("SELECT CAST(:n AS int) + 1"), {"n": number}) == number + 1
                )

    for client in clients:
        client.close()


def test_each_transaction_has_the_timeouts_and_leaves_none(engine: Engine, pooled_url: str) -> None:
    for _ in range(3):
        with engine.begin() as connection:
            for name, value in [
                ("idle_in_transaction_session_timeout", "20s"),
                ("statement_timeout", "3s"),
            ]:
                assert connection.scalar(text(f"SHOW {name}")) == value

    other = make_url(pooled_url)
    with psycopg.connect(
        host=other.host, port=other.port, user=other.username, dbname=other.database
    ) as connection:
        for name in ("idle_in_transaction_session_timeout", "statement_timeout"):
            assert connection.execute(f"SHOW {name}").fetchone() == ("0",)


def test_the_server_ends_a_statement_that_takes_too_long(engine: Engine) -> None:
    with pytest.raises(OperationalError, match="statement timeout"), engine.begin() as connection:
        connection.execute(text("SELECT pg_sleep(600)"))


@pytest.mark.usefixtures("engine")  # which waits for the pooler
def test_several_workers_run_each_job_once(pooled_url: str) -> None:
    table = Table(Database(pooled_url, pool_size=8))
    table.create()
    ids = table.put(*(new_operation() for _ in range(40)))

    def run(operation: Run[Operation]) -> None:
        with operation.transaction(Outcome.done()) as tx:
            add_effect(tx, operation.job.id)

    runner = JobRunner(table.jobs, run)

    def work(_: int) -> None:
        while claims := table.jobs.claim(3):
            for claim in claims:
                runner.do(claim)

    with ThreadPoolExecutor() as pool:
        list(pool.map(work, range(6)))

    with table.database.read() as tx:
        assert sorted(tx.scalars(select(Effect.operation_id))) == ids
    assert {table.status(each) for each in ids} == {"completed"}
    table.drop()
    table.database.close()


def test_a_service_works_that_started_before_the_pooler_could_reach_the_server(
    own_postgres_url: str, redis_binary: Path, tmp_path: Path
) -> None:
    server = make_url(own_postgres_url)
    later = server.set(port=free_port())
    redis = RedisServer(redis_binary, tmp_path / "redis")
    redis.start()
    with (
        running_pgbouncer(later.render_as_string(hide_password=False)) as url,
        processes_of("usermanagement", tmp_path, REDIS_URL=redis.url, DATABASE_URL=url) as service,
    ):
        service.web()
        assert service.register("early").status == 503
        assert server.port is not None
        assert later.port is not None
        relay = SwitchedRelay(server.port, port=later.port)

        wait_until(lambda: service.flask("db", "upgrade").returncode == 0, SECONDS)
        wait_until(lambda: service.register("john").status in {201, 409}, SECONDS)

        session_id = service.log_in("john").body["session_id"]
        for number in range(10):
            changed = service.request(
                "PATCH", f"{API}/users/me", {"firstName": f"John{number}"}, session_id=session_id
            )
            read = service.request("GET", f"{API}/users/me", session_id=session_id)
            assert (changed.status, read.body["user"]["firstName"]) == (200, f"John{number}")
        relay.close()
    redis.kill()


@pytest.mark.parametrize("pooling", ["session", "statement"])
def test_another_kind_of_pooling_is_refused(pooling: str) -> None:
    with pytest.raises(ConfigurationError, match="pooling must be transaction, or left out"):
        open_engine(f"postgresql+psycopg://a@b/c?pooling={pooling}", pool_size=1)
