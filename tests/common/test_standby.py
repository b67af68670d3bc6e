"""A standby of PostgreSQL is never read: a cache could keep what a commit has replaced."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from sqlalchemy import NullPool, create_engine, make_url, text
from sqlalchemy.exc import OperationalError

from common.pyportal_common.db.engines import open_engine
from common.pyportal_common.testing.plugin import missing
from common.pyportal_common.testing.postgres import postgres_binaries, running_postgres

from ..portal_api import wait_until
from .standbys import running_standby

pytestmark = pytest.mark.slow

_SECONDS = 60
_IN_RECOVERY = text("SELECT pg_is_in_recovery()")


@pytest.fixture
def servers() -> Iterator[tuple[str, str]]:
    """The URLs of a primary and of its standby, which answers."""
    binaries = postgres_binaries()
    if binaries is None:
        missing("PostgreSQL")
    with ExitStack() as stack:
        primary = stack.enter_context(running_postgres(binaries))
        standby = stack.enter_context(running_standby(binaries, primary))
        wait_until(lambda: is_in_recovery(standby), _SECONDS)
        yield primary, standby


def is_in_recovery(url: str) -> bool:
    """Whether a server answers, to a client that takes any, and is a standby."""
    try:
        with create_engine(url, poolclass=NullPool).connect() as connection:
            return bool(connection.scalar(_IN_RECOVERY))
    except OperationalError:
        return False


def connects_to_primary(url: str) -> bool:
    engine = open_engine(url, pool_size=1)
    try:
        with engine.connect() as connection:
            return not connection.scalar(_IN_RECOVERY)
    finally:
        engine.dispose()


def both(*urls: str) -> str:
    """One URL with the hosts of several."""
    hosts = [f"{url.host}:{url.port}" for url in map(make_url, urls)]
    found = make_url(urls[0]).set(host=None, port=None).update_query_dict({"host": hosts})
    return found.render_as_string(hide_password=False)


def test_a_standby_is_not_connected_to(servers: tuple[str, str]) -> None:
    _, standby = servers

    with pytest.raises(OperationalError, match="standby"):
        connects_to_primary(standby)


def test_the_primary_is_found_among_several_hosts(servers: tuple[str, str]) -> None:
    primary, standby = servers

    assert connects_to_primary(both(primary, standby))
    assert connects_to_primary(both(standby, primary))


def test_the_standby_is_connected_to_once_it_was_promoted(servers: tuple[str, str]) -> None:
    primary, standby = servers
    with create_engine(standby, poolclass=NullPool).connect() as connection:
        connection.execute(text("SELECT pg_promote()"))

    assert connects_to_primary(standby)
    assert connects_to_primary(both(standby, primary))
