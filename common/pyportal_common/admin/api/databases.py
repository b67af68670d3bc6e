"""The Redis databases of a service."""

from datetime import datetime
from typing import Annotated

from flask import Blueprint, Response
from pydantic import Field, StringConstraints

from ...cache_handlers import keys
from ...operations import DatabaseOperations
from ...web import Page, Schema, View, query, respond, responses
from ..guard import Guard
from .acts import Budget
from .lists import Text, respond_all
from .paths import one_of


class ServerOut(View):
    """The state of a Redis server."""

    server: str
    info: dict[str, int | float | Text] = Field(examples=[{"redis_version": "7.4.0"}])
    memory: dict[str, int | float | Text] = Field(examples=[{"used_memory": 1048576}])


class KeySearch(Schema):
    """The query of a list of keys."""

    prefix: Annotated[str, StringConstraints(max_length=200)] = Field(
        "", description="What the keys begin with.", examples=[keys.user(7)]
    )
    limit: int = Field(50, ge=1, le=1000, description="The largest number of keys.")
    budget: Budget = 10_000


class SlowLogSearch(Schema):
    """The query of a slow log."""

    limit: int = Field(50, ge=1, le=128, description="The largest number of commands.")


class KeyOut(View):
    """A key."""

    key: Text = Field(examples=[keys.user(7)])


class SlowCommandOut(View):
    """A slow command, without its values and the identifiers in its keys."""

    id: int
    at: datetime
    milliseconds: float
    command: Text = Field(examples=["EVALSHA"])
    kind: str | None = Field(
        description="The kind of its first key; null if it has none, or one of another program.",
        examples=["user"],
    )


def database_routes(databases: DatabaseOperations, admin: Guard) -> Blueprint:
    """The routes about Redis."""
    routes = Blueprint("databases", __name__, url_prefix="/redis")
    database = one_of(databases.names, "database")

    @routes.get(f"/{database}")
    @admin
    @responses(ServerOut, problems=[404])
    def show_redis(database: str) -> Response:
        """Show the state and the memory of the server of a database."""
        info, memory = dict(databases.info(database)), dict(databases.memory(database))
        memory.pop("server")
        return respond(ServerOut(server=info.pop("server"), info=info, memory=memory))

    @routes.get(f"/{database}/keys")
    @admin
    @query(KeySearch)
    @responses(Page[KeyOut], problems=[404])
    def list_keys(database: str, query: KeySearch) -> Response:
        """List keys of a database, without sessions.

        Only a part of a large database is read. There is no next page.
        """
        found = databases.keys(database, query.prefix, limit=query.limit, budget=query.budget)
        return respond_all(KeyOut, ({"key": key} for key in found))

    @routes.get(f"/{database}/slowlog")
    @admin
    @query(SlowLogSearch)
    @responses(Page[SlowCommandOut], problems=[404])
    def list_slow_commands(database: str, query: SlowLogSearch) -> Response:
        """List the slowest commands that the server of a database remembers, the newest first.

        They are those of all its databases and clients.
        """
        return respond_all(SlowCommandOut, databases.slowlog(database, limit=query.limit))

    return routes
