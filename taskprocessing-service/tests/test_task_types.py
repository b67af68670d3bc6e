"""Types of tasks that only another version knows: while one takes the place of the other."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from app import MIGRATIONS
from app.models import Task
from app.redis_helper import REDIS_DB
from app.services import Services
from app.settings import TaskProcessingSettings
from common.pyportal_common.cache_handlers import get_redis_client
from common.pyportal_common.db.migrations import migrate
from common.pyportal_common.redis_server import RedisServer


@pytest.fixture
def mine(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Services]:
    url = f"sqlite:///{tmp_path / 'tasks.sqlite3'}"
    monkeypatch.setenv("REDIS_URL", redis_server.url)
    monkeypatch.setenv("DATABASE_URL", url)
    migrate(url, MIGRATIONS)
    mine = Services.of(TaskProcessingSettings.load(), get_redis_client(default_db=REDIS_DB))
    yield mine
    mine.close()


def add(mine: Services, task_type: str) -> int:
    """A task that should have been sent long ago."""
    task = Task(
        reference=task_type,
        user_id=1,
        task_type=task_type,
        parameters={},
        details={},
        priority="normal",
        progress=0,
        attempts=0,
    )
    with mine.database.begin() as tx:
        mine.jobs.put(tx, task)
        task.send_at = datetime.now(UTC) - timedelta(hours=1)
    return task.id


def test_an_unknown_type_does_not_keep_others_from_being_sent(mine: Services) -> None:
    ids = [add(mine, "of_tomorrow"), add(mine, "flight_booking")]

    assert sorted(due.id for due in mine.jobs.to_send("normal", 10)) == ids


def test_an_unknown_type_does_not_keep_others_from_being_recovered(mine: Services) -> None:
    for task_type in ("of_tomorrow", "flight_booking"):
        assert mine.jobs.claim(add(mine, task_type)) is not None
    with mine.database.begin() as tx:
        for task in tx.scalars(select(Task)):
            task.lease_until = datetime.now(UTC) - timedelta(hours=1)

    assert mine.jobs.recover() == 2
