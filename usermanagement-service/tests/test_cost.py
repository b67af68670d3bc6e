"""What docs/architecture.md says a registration costs."""

import threading

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine, event

from common.pyportal_common.cache_handlers import RedisClient

from .conftest import JOHN, REGISTER, Headers

_CONTROL = ("BEGIN", "PRAGMA", "COMMIT", "SELECT set_config")


@pytest.mark.usefixtures("own_commands_only")
@pytest.mark.parametrize(("headers", "statements_taken"), [({}, 4), ({"Idempotency-Key": "a"}, 7)])
def test_a_registration_takes_four_trips_and_four_statements_and_three_for_its_key(
    client: FlaskClient, redis_client: RedisClient, headers: Headers, statements_taken: int
) -> None:
    warm_up = JOHN | {"username": "jane_doe", "email": "jane@example.com"}
    client.post(REGISTER, json=warm_up)  # opens connections and loads scripts
    statements: list[str] = []
    thread = threading.get_ident()

    def note(*arguments: object) -> None:
        statement = str(arguments[2])
        if threading.get_ident() == thread and not statement.startswith(_CONTROL):
            statements.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    before = _reads(redis_client)
    try:
        response = client.post(REGISTER, json=JOHN, headers=headers)
    finally:
        event.remove(Engine, "before_cursor_execute", note)

    assert response.status_code == 201
    assert _reads(redis_client) - before - 1 == 4  # without this INFO
    # The sweep marks the record in another thread.
    assert len(statements) == statements_taken, statements


def _reads(client: RedisClient) -> int:
    """How many times the server has read from its clients."""
    return int(client.execute("INFO", "stats")["total_reads_processed"])
