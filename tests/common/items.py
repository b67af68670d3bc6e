"""A cached model, and a process that writes a row of it and dies before it removes cached values.

As a program: python -m tests.common.items DATABASE_URL REDIS_PORT
"""

import os
import signal
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import String, select
from sqlalchemy.orm import Mapped, mapped_column

from common.pyportal_common.cache_handlers import Cache, RedisClient, RedisSettings
from common.pyportal_common.db import Base, CachedRow, Database, UtcDateTime


class Item(CachedRow, Base):
    """A row that is cached by its id and looked up by its name."""

    __tablename__ = "items"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50), unique=True, active_history=True)
    value: Mapped[int]
    at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    @classmethod
    def cache_keys(cls, row: Mapping[str, Any]) -> Iterable[str]:
        """The item and its name."""
        return f"item:{row['id']}", f"name:{row['name']}"


def create_tables(database: Database) -> None:
    """Create all tables again, with one item."""
    drop_tables(database)
    Base.metadata.create_all(database.engine)
    with database.begin() as tx:
        tx.add(Item(name="one", value=0))


def drop_tables(database: Database) -> None:
    """Drop all tables."""
    Base.metadata.drop_all(database.engine)


def change(database: Database, **values: Any) -> None:
    """Change the item."""
    with database.begin() as tx:
        item = tx.get_one(Item, 1)
        for name, value in values.items():
            setattr(item, name, value)


def value_of(database: Database) -> int:
    """The value of the item in SQL."""
    with database.read() as tx:
        return tx.scalars(select(Item.value).where(Item.id == 1)).one()


class DyingCache(Cache):
    """Kills its process after the COMMIT."""

    def unfence(self, *_: object) -> None:
        """Kill the process instead."""
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    settings = RedisSettings.load(url=f"redis://127.0.0.1:{sys.argv[2]}", _env_file=None)
    client = RedisClient.connect(settings, db=0)
    change(Database(sys.argv[1], cache=DyingCache(client, fence_seconds=0.1)), value=1)
