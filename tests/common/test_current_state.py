"""The part of /metrics that is read at each scrape."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import insert

from common.pyportal_common import __version__
from common.pyportal_common.cache_handlers import Cache, RedisClient
from common.pyportal_common.db import Database
from common.pyportal_common.db.records import RECORDS
from common.pyportal_common.redis_server import RedisServer
from common.pyportal_common.settings import ServiceSettings

Samples = dict[tuple[str, ...], float]


def samples(app: Flask) -> Samples:
    """The values of /metrics by name and labels."""
    families = text_string_to_metric_families(app.test_client().get("/metrics").text)
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }


@pytest.fixture
def database(sql_url: str, own_client: RedisClient) -> Iterator[Database]:
    """A database with an empty table of records."""
    database = Database(sql_url, cache=Cache(own_client), pool_size=5)
    RECORDS.drop(database.engine, checkfirst=True)
    RECORDS.create(database.engine)
    yield database
    RECORDS.drop(database.engine)
    database.close()


@pytest.fixture
def app(make_service: Callable[..., Flask], own_client: RedisClient, database: Database) -> Flask:
    """A service on a Redis of its own."""
    return make_service(redis_client=own_client, database=database)


def state_of_redis(app: Flask, client: RedisClient) -> str:
    found = samples(app)
    states = ("up", "refusing", "down")
    [state] = [state for state in states if found["redis_state", client.name, state] == 1]
    return state


def test_redis_is_up_refusing_or_down(
    app: Flask, own_redis: RedisServer, own_client: RedisClient
) -> None:
    assert state_of_redis(app, own_client) == "up"

    own_client.execute("CONFIG", "SET", "maxmemory", "1")
    assert state_of_redis(app, own_client) == "refusing"

    own_redis.kill()
    assert state_of_redis(app, own_client) == "down"


def test_the_oldest_pending_record_has_an_age(app: Flask, database: Database) -> None:
    name = "cache_invalidations_oldest_pending_seconds"
    assert samples(app)[name,] == 0

    now = datetime.now(UTC)
    with database.engine.begin() as connection:
        for age, done_at in ((90, now), (40, None), (10, None)):
            row = {"keys": "[]", "revocations": "[]", "done_at": done_at}
            created_at = now - timedelta(seconds=age)
            connection.execute(insert(RECORDS).values(row | {"created_at": created_at}))

    assert 40 <= samples(app)[name,] < 70


def test_without_sql_the_rest_is_reported(app: Flask, database: Database) -> None:
    RECORDS.drop(database.engine)

    found = {name for name, *_ in samples(app)}

    RECORDS.create(database.engine)
    assert "cache_invalidations_oldest_pending_seconds" not in found
    assert {"redis_state", "pool_size", "pyportal_build_info"} <= found


def test_the_use_of_pools_is_that_of_other_requests(app: Flask, database: Database) -> None:
    with database.read() as one, database.read() as other:
        one.connection(), other.connection()
        samples(app)
        busy = samples(app)
    samples(app)
    idle = samples(app)

    assert busy["pool_connections_in_use", "sql"] == 2
    assert idle["pool_connections_in_use", "sql"] == 0
    assert idle["pool_connections_in_use", "redis"] == 0
    assert idle["pool_size", "sql"] == 5
    assert idle["pool_size", "redis"] >= 8


def test_the_release_is_reported(app: Flask) -> None:
    [labels] = [labels for name, *labels in samples(app) if name == "pyportal_build_info"]

    assert __version__ in labels


def test_the_disk_is_that_of_the_folder_that_exists(
    make_service: Callable[..., Flask], tmp_path: Path
) -> None:
    found = samples(make_service(ServiceSettings.load(data_dir=tmp_path / "new" / "er")))

    assert 0 <= found["data_disk_free_bytes",] <= found["data_disk_size_bytes",]
