"""Whether the schema is that of a release, and waiting for it."""

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from ..extras import requires
from .database import Database, cause_of
from .migrations import config_of, revisions

with requires("sql"):
    from alembic.script import ScriptDirectory

_PAUSE_SECONDS = 1.0


def wait_for_schema(url: str, migrations: Path, *, report: Callable[[str], object]) -> None:
    """Return when the schema has all `migrations`, or is that of a later release.

    What it waits for is reported when it changes.
    """
    with closing(Database(url, pool_size=1)) as database:
        reported = None
        while (reason := _obstacle(database, migrations)) is not None:
            if reason != reported:
                report(reason)
                reported = reason
            time.sleep(_PAUSE_SECONDS)


def is_of_later_release(url: str, migrations: Path) -> bool:
    """Whether the schema has had a migration that is not among these. Raises SQLAlchemyError."""
    with closing(Database(url, pool_size=1)) as database:
        current, _ = revisions(database, migrations)
    return _is_later(current, migrations)


def _is_later(revision: str | None, migrations: Path) -> bool:
    scripts = ScriptDirectory.from_config(config_of("", migrations))
    return revision not in {None, *(script.revision for script in scripts.walk_revisions())}


def _obstacle(database: Database, migrations: Path) -> str | None:
    try:
        current, newest = revisions(database, migrations)
    except SQLAlchemyError as error:
        return f"The SQL database does not answer: {cause_of(error)}"
    if current == newest or _is_later(current, migrations):
        return None
    return f"The schema is at {current or 'nothing'}, and this release needs {newest}"
