"""Flask-SQLAlchemy: commits of `db.session` invalidate cached values.

`db` is imported when an app uses it, because it needs the extra `sql`.
"""

from typing import TYPE_CHECKING, Any, Protocol

from flask import Flask

from ..cache_handlers import Cache, SessionStore
from .configuration import TrustSettings, load_from

if TYPE_CHECKING:
    from ..db import Database


class FlaskSQLAlchemy(Protocol):
    """What the extension uses of `flask_sqlalchemy.SQLAlchemy`, version 3."""

    session: Any
    """A scoped_session."""

    @property
    def metadata(self) -> Any:
        """The tables of the default bind."""

    @property
    def engine(self) -> Any:
        """The engine of the current app's default bind."""


def add_records(db: FlaskSQLAlchemy) -> None:
    """Add the table of invalidations to the app's, for `db.create_all` and for migrations."""
    from ..db import RECORDS

    if RECORDS.name not in db.metadata.tables:
        RECORDS.to_metadata(db.metadata)


def open_database(
    app: Flask, db: FlaskSQLAlchemy, cache: Cache, sessions: SessionStore
) -> "Database":
    """The database of an app's default bind, with the CACHE_TRUST_SECONDS of the app.

    Raises RuntimeError if `db` does not have the app.
    """
    from ..db import Database

    if "sqlalchemy" not in app.extensions:
        raise RuntimeError("call db.init_app(app) before portal.init_app(app)")
    trust = load_from(app.config)(TrustSettings)
    with app.app_context():
        database = Database(
            db.engine, cache=cache, sessions=sessions, trust_seconds=trust.trust_seconds
        )
    database.watch(db.session)
    return database
