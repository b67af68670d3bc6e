"""A table of jobs for tests, and a table of their effects with a row for each time."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Index, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from common.pyportal_common.db import Database, Transaction
from common.pyportal_common.jobs import Claim, JobRow, Jobs, Outcome, Run, job_indexes


class Base(DeclarativeBase):
    """The tables of these tests."""


class Operation(JobRow, Base):
    """A job. `kind` selects what the worker of these tests does."""

    __tablename__ = "operations"
    __table_args__ = (
        Index("ix_operations_user_id_status", "user_id", "status"),
        *job_indexes("operations"),
    )

    kind: Mapped[str] = mapped_column(default="ok")
    user_id: Mapped[int | None]
    limit_seconds: Mapped[float] = mapped_column(default=30.0)

    @classmethod
    def cache_keys(cls, _: Mapping[str, Any]) -> Iterable[str]:
        """None: operations are not cached."""
        return ()


class Effect(Base):
    """The effect of an operation, and the worker that made it."""

    __tablename__ = "effects"

    id: Mapped[int] = mapped_column(primary_key=True)
    operation_id: Mapped[int]
    by: Mapped[str]


def new_operation(
    kind: str = "ok",
    *,
    priority: str = "normal",
    limit_seconds: float = 30.0,
    user_id: int | None = None,
) -> Operation:
    """A new row."""
    return Operation(
        kind=kind,
        priority=priority,
        limit_seconds=limit_seconds,
        user_id=user_id,
        progress=0,
        attempts=0,
    )


def jobs_of(database: Database, **options: Any) -> Jobs[Operation]:
    """The operations of a database as jobs."""
    return Jobs(
        database,
        Operation,
        kind="operations",
        time_limit=lambda operation: operation.limit_seconds,
        type_of=lambda operation: operation.kind,
        owner=Operation.user_id,
        **options,
    )


def add_effect(tx: Transaction, operation_id: int, by: str = "") -> None:
    """Record an effect."""
    tx.add(Effect(operation_id=operation_id, by=by))


class Table:
    """The operations of a database, and what tests do with them."""

    def __init__(self, database: Database, **options: Any) -> None:
        self.database = database
        self.jobs = jobs_of(database, **options)

    def create(self) -> None:
        """Create empty tables."""
        self.drop()
        Base.metadata.create_all(self.database.engine)

    def drop(self) -> None:
        """Drop the tables."""
        Base.metadata.drop_all(self.database.engine)

    def put(self, *operations: Operation) -> list[int]:
        """Commit new operations, and return their ids."""
        with self.database.begin() as tx:
            for operation in operations:
                self.jobs.put(tx, operation)
        return [operation.id for operation in operations]

    def put_one(self, **options: Any) -> int:
        """Commit a new operation, and return its id."""
        return self.put(new_operation(**options))[0]

    def claim(self, operation_id: int) -> Claim[Operation]:
        """Claim an operation, which must be possible."""
        claim = self.try_to_claim(operation_id)
        assert claim is not None
        return claim

    def try_to_claim(self, operation_id: int) -> Claim[Operation] | None:
        """Claim an operation if it is due."""
        self.jobs.make_due()
        claims = self.jobs.claim(1, Operation.id == operation_id)
        return claims[0] if claims else None

    def run(self, operation_id: int) -> Run[Operation]:
        """Begin an attempt."""
        return Run(self.jobs, self.claim(operation_id))

    def complete(self, claim: Claim[Operation], by: str = "") -> None:
        """Finish an attempt with an effect."""
        self.end(claim, Outcome.done(), by)

    def end(self, claim: Claim[Operation], outcome: Outcome, by: str | None = None) -> None:
        """End an attempt, with an effect `by` a worker if it is given."""
        with Run(self.jobs, claim).transaction(outcome) as tx:
            if by is not None:
                add_effect(tx, claim.row.id, by)

    def fail(self, claim: Claim[Operation]) -> None:
        """End an attempt for good."""
        self.end(claim, Outcome.failed("It rains"))

    def retry_later(self, claim: Claim[Operation]) -> None:
        """End an attempt, and schedule another."""
        self.end(claim, Outcome.retry("It rained"))

    def release(self, claim: Claim[Operation]) -> None:
        """End an attempt without counting it."""
        self.end(claim, Outcome.later())

    def cancel(self, operation_id: int) -> None:
        """Cancel an operation."""
        with self.database.begin() as tx:
            self.jobs.cancel(tx.get_one(Operation, operation_id, with_for_update=True))

    def retry(self, operation_id: int) -> None:
        """Restart an operation."""
        with self.database.begin() as tx:
            self.jobs.retry(tx.get_one(Operation, operation_id, with_for_update=True))

    def row(self, operation_id: int) -> Operation:
        """An operation as it is in SQL."""
        with self.database.read() as tx:
            return tx.get_one(Operation, operation_id)

    def status(self, operation_id: int) -> str:
        """The state of an operation."""
        return self.row(operation_id).status

    def values(self, operation_id: int) -> dict[str, Any]:
        """All columns of an operation."""
        row = self.row(operation_id)
        return {column.key: getattr(row, column.key) for column in Operation.__table__.columns}

    def effects(self) -> list[tuple[int, str]]:
        """The operation and the worker of each effect, in order."""
        with self.database.read() as tx:
            found = tx.execute(select(Effect.operation_id, Effect.by).order_by(Effect.id))
            return [(operation_id, by) for operation_id, by in found]
