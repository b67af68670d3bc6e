"""Jobs in a table of their own, and a table of what they have done: a row for each time."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from common.pyportal_common.db import Database, Transaction
from common.pyportal_common.jobs import JobRow, Jobs, job_indexes


class Base(DeclarativeBase):
    """The tables of these tests."""


class Deed(JobRow, Base):
    """A job. `kind` says what a worker of these tests does for it."""

    __tablename__ = "deeds"
    __table_args__ = job_indexes("deeds")

    kind: Mapped[str] = mapped_column(default="ok")
    limit_seconds: Mapped[float] = mapped_column(default=30.0)

    @classmethod
    def cache_keys(cls, _: Mapping[str, Any]) -> Iterable[str]:
        """None: it is not cached."""
        return ()


class Effect(Base):
    """That a deed was done, once more, and by whom."""

    __tablename__ = "effects"

    id: Mapped[int] = mapped_column(primary_key=True)
    deed_id: Mapped[int]
    by: Mapped[str]


def time_limit(deed: Deed) -> float:
    """What `Jobs` wants to know."""
    return deed.limit_seconds


def create_tables(database: Database) -> None:
    """Anew, and empty."""
    drop_tables(database)
    Base.metadata.create_all(database.engine)


def drop_tables(database: Database) -> None:
    """What `create_tables` created."""
    Base.metadata.drop_all(database.engine)


def new_deed(kind: str = "ok", *, priority: str = "normal", limit_seconds: float = 30.0) -> Deed:
    """One that nobody has heard of."""
    return Deed(kind=kind, priority=priority, limit_seconds=limit_seconds, progress=0, attempts=0)


def jobs_of(database: Database, **options: Any) -> Jobs[Deed]:
    """The deeds of a database as jobs."""
    return Jobs(
        database,
        Deed,
        kind="deeds",
        time_limit=time_limit,
        type_of=lambda deed: deed.kind,
        **options,
    )


def put(database: Database, jobs: Jobs[Deed], *deeds: Deed) -> list[int]:
    """Commit them as new jobs; their ids."""
    with database.begin() as tx:
        for deed in deeds:
            jobs.put(tx, deed)
    return [deed.id for deed in deeds]


def row(database: Database, deed_id: int) -> Deed:
    """A deed as SQL has it."""
    with database.read() as tx:
        return tx.get_one(Deed, deed_id)


def values(deed: Deed) -> dict[str, Any]:
    """All columns."""
    return {column.key: getattr(deed, column.key) for column in Deed.__table__.columns}


def leave_effect(tx: Transaction, deed_id: int, by: str = "") -> None:
    """Note that the deed is done."""
    tx.add(Effect(deed_id=deed_id, by=by))


def effects(database: Database) -> list[tuple[int, str]]:
    """What was done, in order: deed and by whom."""
    with database.read() as tx:
        found = tx.execute(select(Effect.deed_id, Effect.by).order_by(Effect.id))
        return [(deed_id, by) for deed_id, by in found]
