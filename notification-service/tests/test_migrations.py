"""Migrations keep what there was: webhooks that receive only messages, and old notifications."""

from pathlib import Path

import alembic.command
from sqlalchemy import create_engine, inspect, text

from app import MIGRATIONS
from app.models import Notification, Webhook
from common.pyportal_common.db import Database
from common.pyportal_common.db.migrations import check, config_of

WEBHOOK = """
INSERT INTO webhooks (id, user_id, url, secret, created_at)
VALUES (3, 7, 'https://example.com/', 'whsec_AAAA', '2026-01-31 12:00:00.000000')
"""
NOTIFICATION = """
INSERT INTO notifications (id, message_id, source, user_id, channel, data, subject, status,
                           priority, progress, attempts, created_at, updated_at)
VALUES (5, 'message-5', 'taskprocessing', 7, 'email', '{}', 'Admission', 'sent',
        'normal', 100, 1, '2026-01-31 12:00:00.000000', '2026-01-31 12:00:01.000000')
"""


def test_what_was_there_before_events_and_the_inbox_stays_as_it_was(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'old.sqlite3'}"
    config = config_of(url, MIGRATIONS)
    alembic.command.upgrade(config, "0006")
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(WEBHOOK))
        connection.execute(text(NOTIFICATION))

    alembic.command.upgrade(config, "head")

    check(url, MIGRATIONS)
    database = Database(url)
    with database.read() as tx:
        webhook, notification = tx.get_one(Webhook, 3), tx.get_one(Notification, 5)
    database.close()
    assert (webhook.event_types, webhook.enabled, webhook.sequence) == ([], True, 0)
    assert not webhook.receives("booking.confirmed")
    assert (notification.title, notification.read_at) == ("Admission", notification.updated_at)

    alembic.command.downgrade(config, "0006")
    assert "event_types" not in {each["name"] for each in inspect(engine).get_columns("webhooks")}
    engine.dispose()
