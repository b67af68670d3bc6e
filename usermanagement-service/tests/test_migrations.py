"""Migrations keep the rows of the tables that they change."""

from collections.abc import Iterator

import alembic.command
import pytest
from sqlalchemy import create_engine, inspect, text

from app import MIGRATIONS
from common.pyportal_common.db import Audit, Database
from common.pyportal_common.db.migrations import config_of

MOMENT = "'2030-01-31 12:00:00.000000'"
ACTIONS = f"""
INSERT INTO admin_actions (actor_id, user_id, action, session, at) VALUES
    (1, 7, 'list sessions', '', {MOMENT}), (1, 7, 'end session', '0123', {MOMENT}),
    (2, 8, 'end sessions', '', {MOMENT})
"""


@pytest.fixture
def url(migrated_url: str) -> Iterator[str]:
    """The URL of a database with the schema before the audit log."""
    alembic.command.downgrade(config_of(migrated_url, MIGRATIONS), "0010")
    yield migrated_url
    alembic.command.upgrade(config_of(migrated_url, MIGRATIONS), "head")


def test_what_admins_did_moves_to_the_audit_log(url: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(ACTIONS))

    alembic.command.upgrade(config_of(url, MIGRATIONS), "head")

    database = Database(url)
    moved = [
        (each.actor, each.action, each.target, each.filter, each.count, each.at.isoformat())
        for each in reversed(Audit(database).page().items)
    ]
    database.close()
    at = "2030-01-31T12:00:00+00:00"
    assert moved == [
        ("user=1", "sessions list", "user=7", {}, None, at),
        ("user=1", "sessions revoke", "user=7", {"session": "0123"}, None, at),
        ("user=2", "sessions revoke", "user=8", {}, None, at),
    ]
    assert "admin_actions" not in inspect(engine).get_table_names()
    engine.dispose()
