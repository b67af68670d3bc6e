"""Waiting for the schema of a release. tests/common/test_start_order.py waits for its migration."""

import threading
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text

from common.pyportal_common.db.schema import wait_for_schema

from .load import ROOT
from .service_processes import processes_of
from .waiting import wait_until

MIGRATIONS = ROOT / "usermanagement-service" / "migrations"


class Waiting:
    """A thread that waits for the schema of User Management, and what it has reported."""

    def __init__(self, url: str) -> None:
        self.reported: list[str] = []
        self.thread = threading.Thread(
            target=wait_for_schema, args=(url, MIGRATIONS), kwargs={"report": self.reported.append}
        )
        self.thread.start()

    def ends(self) -> bool:
        self.thread.join(60)
        return not self.thread.is_alive()


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return create_engine(f"sqlite:///{tmp_path / 'sql'}")


def set_revision(engine: Engine, revision: str) -> None:
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE IF NOT EXISTS alembic_version (version_num TEXT)"))
        connection.execute(text("DELETE FROM alembic_version"))
        connection.execute(text("INSERT INTO alembic_version VALUES (:it)"), {"it": revision})


def test_the_schema_of_an_earlier_release_is_not_enough(engine: Engine) -> None:
    set_revision(engine, "0001")

    waiting = Waiting(str(engine.url))
    wait_until(lambda: bool(waiting.reported))

    assert waiting.thread.is_alive()
    assert waiting.reported[0].startswith("The schema is at 0001, and this release needs ")
    set_revision(engine, "9999")
    assert waiting.ends()
    engine.dispose()


def test_the_schema_of_a_later_release_is_enough(engine: Engine) -> None:
    """As after a return to the release before."""
    set_revision(engine, "9999")

    waiting = Waiting(str(engine.url))

    assert waiting.ends()
    assert waiting.reported == []
    engine.dispose()


@pytest.mark.slow
def test_the_schema_of_a_later_release_is_not_migrated(engine: Engine, tmp_path: Path) -> None:
    set_revision(engine, "9999")
    engine.dispose()

    with processes_of("usermanagement", tmp_path, DATABASE_URL=str(engine.url)) as service:
        done = service.flask("db", "upgrade")

    assert done.returncode == 0, done.stderr
    assert done.stdout == "The schema is that of a later release, and stays as it is\n"
