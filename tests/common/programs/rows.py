"""A row that is cached, and a commit that invalidates it."""

import sys
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from typing import Any

from sqlalchemy.orm import Mapped, mapped_column

from common.pyportal_common.cache_handlers import Cache, Policy, get_redis_client
from common.pyportal_common.db import Base, CachedRow, Database


class Flight(CachedRow, Base):
    """A flight."""

    __tablename__ = "flights"

    id: Mapped[int] = mapped_column(primary_key=True)
    seats: Mapped[int]

    @classmethod
    def cache_keys(cls, row: Mapping[str, Any]) -> Iterable[str]:
        """Where it is cached."""
        return [f"flight:{row['id']}"]


def seats() -> object:
    """The seats that are cached, or else in SQL."""

    def load() -> int:
        with database.begin() as tx:
            return tx.get_one(Flight, 7).seats

    return cache.get_or_load("flight:7", load, Policy(ttl=60))


cache = Cache(get_redis_client())
database = Database("sqlite:///flights.sqlite3", cache=cache)
Base.metadata.create_all(database.engine)
with database.begin() as tx:
    tx.add(Flight(id=7, seats=10))
assert seats() == 10
with database.begin() as tx:
    tx.get_one(Flight, 7).seats = 9
assert cache.get("flight:7") is None
assert seats() == 9
database.close()

try:
    Database("postgresql://john@127.0.0.1/flights").close()
    assert find_spec("psycopg")
except ImportError as error:
    assert "pip install 'pyportal-common[postgresql]'" in str(error)  # noqa: PT017
assert "flask" not in sys.modules
