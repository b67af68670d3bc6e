"""Commits of an app's own sessions, which invalidate what they change."""

import sys
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import create_engine, update
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    mapped_column,
    scoped_session,
    sessionmaker,
)

from common.pyportal_common.cache_handlers import Cache, get_redis_client
from common.pyportal_common.db import RECORDS, CachedRow, Database, UndeclaredCacheKeys


class Base(DeclarativeBase):
    """The app's own base."""


class Seat(CachedRow, Base):
    """A seat."""

    __tablename__ = "seats"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]

    @classmethod
    def cache_keys(cls, row: Mapping[str, Any]) -> Iterable[str]:
        """Where it is cached."""
        return [f"seat:{row['id']}", f"seat_name:{row['name']}"]


def check(seat_id: int, name: str) -> None:
    """Check that nothing is cached, and cache something."""
    names = [f"seat:{seat_id}", f"seat_name:{name}"]
    assert [cache.get(key) for key in names] == [None, None], names
    cache.put_many(dict.fromkeys(names, "old"), ttl=60)


RECORDS.to_metadata(Base.metadata)
cache = Cache(get_redis_client())
engine = create_engine("sqlite:///seats.sqlite3")
Base.metadata.create_all(engine)
sessions = sessionmaker(engine)
database = Database(engine, cache=cache)
database.watch(sessions)

cache.put_many({"seat:1": "old", "seat_name:1A": "old"}, ttl=60)
with sessions.begin() as tx:
    tx.add(Seat(id=1, name="1A"))
check(1, "1A")
with sessions() as session:
    seat = session.get_one(Seat, 1)
    session.commit()
    seat.name = "1B"
    with session.begin_nested():
        pass
    assert cache.get("seat_name:1A") == "old"
    session.commit()
check(1, "1A")
scoped = scoped_session(sessions)
scoped.delete(scoped.get_one(Seat, 1))
scoped.commit()
scoped.remove()
assert cache.get("seat:1") is None

with sessions() as session:
    try:
        session.execute(update(Seat).values(name="1C"))
    except UndeclaredCacheKeys:
        session.execute(
            update(Seat).values(name="1C"), execution_options={"cache_keys": ["seat:1"]}
        )
    else:
        raise AssertionError("a statement without its keys was not refused")
with Session(engine) as session:
    session.add(Seat(id=2, name="2A"))
    try:
        session.commit()
    except UndeclaredCacheKeys:
        session.rollback()
    else:
        raise AssertionError("a session that is not watched was not refused")
database.close()
engine.dispose()
assert "flask" not in sys.modules
