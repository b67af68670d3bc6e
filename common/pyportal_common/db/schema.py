"""Waiting for the schema of a release."""

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from ..extras import requires
from .database import Database
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


def _obstacle(database: Database, migrations: Path) -> str | None:
    try:
        current, newest = revisions(database, migrations)
    except SQLAlchemyError:
        return "The SQL database does not answer"
    scripts = ScriptDirectory.from_config(config_of("", migrations))
    earlier = {script.revision for script in scripts.walk_revisions()} - {newest}
    if current is not None and current not in earlier:
        return None
    return f"The schema is at {current or 'nothing'}, and this release needs {newest}"
