"""The Redis databases: state and memory of the servers, keys by prefix, the slow log."""

from dataclasses import dataclass

from flask import Response
from pydantic import Field

from ...operations import DatabaseOperations
from ...web.pages import Filter, read_filter
from .console import Console
from .seen import Seen, look


class KeySearch(Filter):
    """The query of the list of keys. With a budget so many keys are read."""

    prefix: str = Field("", max_length=500)
    budget: int | None = Field(None, ge=1, le=100_000)


@dataclass(frozen=True, slots=True)
class DatabaseState:
    """What a server says about itself and its database."""

    info: dict[str, object]
    memory: dict[str, object]
    keys: int


_MAX_SHOWN = 200  # keys


def add_redis_pages(console: Console, databases: DatabaseOperations) -> None:
    """Add the pages about Redis."""

    def state_of(name: str) -> Seen[DatabaseState]:
        return look(
            lambda: DatabaseState(
                dict(databases.info(name)), dict(databases.memory(name)), databases.size(name)
            )
        )

    @console.page("/redis", navigation="Redis")
    def database_list() -> Response:
        return console.show("redis.html", states={name: state_of(name) for name in databases.names})

    @console.page("/redis/<database>")
    def database_page(database: str) -> Response:
        found = state_of(database)
        status = 503 if found.error else 200
        return console.show("redis_database.html", status, database=database, found=found)

    @console.page("/redis/<database>/slowlog")
    def slow_log(database: str) -> Response:
        found = look(lambda: databases.slowlog(database))
        status = 503 if found.error else 200
        return console.show("redis_slowlog.html", status, database=database, found=found)

    @console.page("/redis/<database>/keys")
    def keys(database: str) -> Response:
        wanted = read_filter(KeySearch)
        size = look(lambda: databases.size(database))
        found = look(lambda: find(database, wanted)) if wanted.budget else None
        return console.show(
            "redis_keys.html",
            503 if size.error or (found and found.error) else 200,
            database=database,
            wanted=wanted,
            size=size,
            found=found,
            max_shown=_MAX_SHOWN,
        )

    def find(database: str, wanted: KeySearch) -> list[str]:
        budget = wanted.budget or 1
        return sorted(databases.keys(database, wanted.prefix, limit=_MAX_SHOWN, budget=budget))
