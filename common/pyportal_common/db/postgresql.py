"""Connections to PostgreSQL that are bounded in time, whatever happens to the network.

A server that hangs, and a network that swallows what is sent, look the same: no answer comes. The
kernel gives up after minutes, and never if a relay in between acknowledges the packets.
"""

import select
from collections.abc import Generator
from time import monotonic
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event

from ..extras import requires
from ..settings import ConfigurationError
from .clock import CLOCK, ServerClock, check_at_checkout

with requires("postgresql"):
    import psycopg
    from psycopg import waiting

_CONNECT_SECONDS = 3  # for each address of the host
_CHECK_SECONDS = 2.0  # for the answer of a connection that was idle
_GRACE_SECONDS = 1.0  # for the server to end a statement itself, before this side gives up

# psycopg's default, which is written in C, does not return in some versions while no answer comes.
_wait = waiting.wait_poll if hasattr(select, "poll") else waiting.wait_select
_TURN_SECONDS = 0.1

_POOLING = "pooling"  # in the query of a URL


class BoundedConnection(psycopg.Connection[Any]):
    """A connection that closes when the server has not answered for `patience` seconds."""

    patience = _CHECK_SECONDS

    def wait(self, gen: Generator[Any, Any, Any], *_: Any, **__: Any) -> Any:
        """Consume a generator of psycopg. OperationalError if the server does not answer."""
        try:
            return _wait(self._bounded(gen), self.pgconn.socket, interval=_TURN_SECONDS)
        except (KeyboardInterrupt, SystemExit):
            self.pgconn.finish()  # in the middle of a statement
            raise

    def _bounded(self, gen: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        until = monotonic() + self.patience
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if not ready and monotonic() > until:
                    self.pgconn.finish()  # a late answer would be taken for that of the next
                    raise psycopg.OperationalError(
                        f"the server did not answer within {self.patience:g} seconds"
                    )
                wanted = gen.send(ready)
        except StopIteration as end:
            return end.value


def postgresql_engine(url: URL, statement_seconds: float | None, options: dict[str, Any]) -> Engine:
    """An engine whose connections give up a statement after `statement_seconds`, if it is not None.

    The server ends the statement then, and its locks with it; a second later this side closes the
    connection. A connection is checked when it is taken from the pool, which also tells the time of
    the server.

    It connects to a primary only: of several hosts in the URL to the one that is, and never to a
    standby. With `?pooling=transaction` in the URL a PgBouncer with that `pool_mode` may be in
    between. It gives each transaction another connection of the server.
    """
    clock = ServerClock()
    pooled = _pools_transactions(url)
    settings = {
        # A writer that hangs in a transaction must end before its fence expires.
        "idle_in_transaction_session_timeout": 20_000,
        "statement_timeout": round((statement_seconds or 0) * 1000),
    }
    connect_args: dict[str, Any] = {
        "connect_timeout": _CONNECT_SECONDS,
        # An idle connection is kept known to firewalls, and one without a peer is closed.
        "keepalives_idle": 60,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "tcp_user_timeout": 30_000,
    }
    if pooled:
        # A statement that is prepared on one connection of the server is not known on another.
        connect_args["prepare_threshold"] = None
    else:
        connect_args["options"] = " ".join(f"-c {name}={value}" for name, value in settings.items())
        # A cache that is filled from a standby could keep what a commit has replaced.
        connect_args["target_session_attrs"] = "primary"
    engine = create_engine(
        url.difference_update_query([_POOLING]),
        connect_args=connect_args,
        execution_options={CLOCK: clock},
        **options,
    )
    if pooled:
        _set_in_each_transaction(engine, settings)
    clock.engine = engine
    patience = float("inf") if statement_seconds is None else statement_seconds + _GRACE_SECONDS

    @event.listens_for(engine, "do_connect")
    def connect(_dialect: Any, _record: Any, args: Any, values: Any) -> BoundedConnection:
        return BoundedConnection.connect(*args, **values)

    def check(connection: BoundedConnection) -> None:
        connection.patience = _CHECK_SECONDS
        clock.measure(connection)
        connection.patience = patience

    check_at_checkout(engine, check)
    return engine


def _pools_transactions(url: URL) -> bool:
    pooling = url.query.get(_POOLING)
    if pooling not in {None, "transaction"}:
        raise ConfigurationError("DATABASE_URL: pooling must be transaction, or left out")
    return pooling is not None


def _set_in_each_transaction(engine: Engine, settings: dict[str, int]) -> None:
    """Set what lasts for a transaction, which costs a round trip.

    What a connection sets for longer would hold for other clients of the pooler, and not for its
    own next transaction. PgBouncer refuses `options` at connecting.
    """
    statements = "; ".join(f"SET LOCAL {name} = {value}" for name, value in settings.items())

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(statements)
