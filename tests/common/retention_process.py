"""A process that deletes old operations: python -m tests.common.retention_process SQL_URL NUMBER.

It kills itself at the COMMIT of the DELETE with this number.
"""

import os
import signal
import sys
from datetime import datetime, timedelta
from itertools import count

from sqlalchemy import event

from common.pyportal_common.db import Database
from common.pyportal_common.db.batches import delete_created_before

from .operations import Effect, Operation

ROWS = 10
KEPT = timedelta(days=365)


def delete_old(database: Database, now: datetime) -> int:
    """Delete the operations that ended a year before, with their effects."""
    before = now - KEPT
    ended = Operation.finished_at < before
    referring = [Effect.operation_id]
    return delete_created_before(database, Operation, before, ended, referring=referring, rows=ROWS)


def die(_: object) -> None:
    """End at once, as after a loss of power."""
    os.kill(os.getpid(), signal.SIGKILL)


def main(sql_url: str, number: str) -> None:
    """Delete them until that COMMIT."""
    database, deletes = Database(sql_url), count(1)

    def die_at_the_last(*given: object) -> None:
        is_delete = str(given[2]).startswith("DELETE FROM operations")
        if is_delete and next(deletes) == int(number):
            event.listen(database.engine, "commit", die)

    event.listen(database.engine, "before_cursor_execute", die_at_the_last)
    delete_old(database, database.now())


if __name__ == "__main__":
    main(*sys.argv[1:])
