"""Idempotency keys: the response to a request is stored in the transaction of its effect.

So both are committed, or neither. docs/adr/0021-idempotency-keys-in-sql.md has the reasons.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import OperationalError
from sqlalchemy.sql.dml import ReturningDelete

from .database import Database
from .types import Base, Transaction, UtcDateTime

KEYS = sa.Table(
    "idempotency_keys",
    Base.metadata,
    sa.Column("scope", sa.String(150), primary_key=True),
    sa.Column("key_digest", sa.String(64), primary_key=True),
    sa.Column("fingerprint", sa.String(64), nullable=False),
    # The response. It is null only inside the transaction.
    sa.Column("status", sa.SmallInteger),
    sa.Column("content_type", sa.String(100)),
    sa.Column("location", sa.Text),
    sa.Column("body", sa.Text),
    sa.Column("user_id", sa.BigInteger, index=True),
    sa.Column("created_at", UtcDateTime, nullable=False, index=True),
)

LIFETIME = timedelta(hours=24)
WAIT_SECONDS = 2.0  # for another request with the same key

_RECENT = timedelta(seconds=30)  # longer than a transaction and its invalidation take
_DELETED_AT_ONCE = 1000
_LOCK_NOT_AVAILABLE = "55P03"  # PostgreSQL's lock_timeout
_RESPONSE = ("status", "content_type", "location", "body", "user_id")


class KeyReused(Exception):
    """The key was already sent with a different request."""


class KeyTaken(Exception):
    """Another request with the key has been committed meanwhile: `find` has its response."""


class KeyInFlight(Exception):
    """Another request with the key is being processed."""


@dataclass(frozen=True, slots=True)
class KeyedRequest:
    """A request with an idempotency key, of which only digests are stored.

    A key belongs to its `scope`: the route and the user.
    """

    scope: str
    key_digest: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class KeptResponse:
    """The parts of a response that are kept and replayed.

    `user_id` is the user whom it is about: it is deleted with that user.
    """

    status: int
    content_type: str
    location: str | None
    body: str
    user_id: int | None


class Keep(Protocol):
    """Stores the response that describes `result`, in the transaction of the claim."""

    def __call__(self, result: Any, user_id: int | None = None) -> None:
        """`user_id` is the user whom the response is about, if it is not the caller."""


class IdempotencyKey:
    """The key of a request, as a service uses it. This base class is for requests without one."""

    def claim(self, _: Transaction) -> AbstractContextManager[Keep]:
        """Claim the key as the first statement of the transaction that it protects.

        The block must call what it yields, once it knows the result. Raises KeyTaken and
        KeyInFlight, which the web layer handles: the transaction has no effect then.
        """
        return _keep_nothing()


NO_KEY = IdempotencyKey()


@contextmanager
def _keep_nothing() -> Iterator[Keep]:
    def ignore(result: Any, user_id: int | None = None) -> None:
        """There is no key to keep it under."""

    yield ignore


class IdempotencyKeys:
    """The keys of clients, and the kept responses, for 24 hours after the request."""

    def __init__(self, database: Database, *, clock: Callable[[], datetime] | None = None) -> None:
        self._database = database
        self._clock = clock or database.now

    def find(self, request: KeyedRequest) -> KeptResponse | None:
        """The response to an earlier request with the key. Raises KeyReused.

        If the request was recent, it may have died before it could invalidate what it had changed:
        this returns when readers see that. One statement, or two.
        """
        query = sa.select(KEYS).where(
            KEYS.c.scope == request.scope,
            KEYS.c.key_digest == request.key_digest,
            KEYS.c.created_at > self._clock() - LIFETIME,
        )
        with self._database.read() as tx:
            row = tx.execute(query).first()
        if row is None:
            return None
        if row.fingerprint != request.fingerprint:
            raise KeyReused
        if row.created_at > self._clock() - _RECENT:
            self._database.await_invalidations()
        return KeptResponse(**{name: getattr(row, name) for name in _RESPONSE})

    @contextmanager
    def claim(
        self, tx: Transaction, request: KeyedRequest
    ) -> Iterator[Callable[[KeptResponse], None]]:
        """Claim a key in a transaction: see `IdempotencyKey.claim`. Two statements.

        A block that does not keep a response is a RuntimeError, and has no effect.
        """
        self._insert(tx, request)
        kept: list[KeptResponse] = []
        yield kept.append
        if not kept:
            raise RuntimeError("a transaction with an idempotency key must keep its response")
        tx.flush()
        of_request = (KEYS.c.scope == request.scope, KEYS.c.key_digest == request.key_digest)
        tx.execute(sa.update(KEYS).where(*of_request).values(asdict(kept[-1])))

    def keep(self, request: KeyedRequest, response: KeptResponse) -> None:
        """Keep a response without an effect, in a transaction of its own.

        Raises KeyTaken and KeyInFlight.
        """
        with (
            self._database.begin(changes_cached=False) as tx,
            self.claim(tx, request) as keep,
        ):
            keep(response)

    def delete_old(self) -> None:
        """Delete keys whose 24 hours are over, in short transactions: other writers wait."""
        statement = old_keys(self._clock() - LIFETIME)
        deleted = _DELETED_AT_ONCE
        while deleted >= _DELETED_AT_ONCE:
            with self._database.begin(changes_cached=False) as tx:
                deleted = len(tx.execute(statement).all())

    def _insert(self, tx: Transaction, request: KeyedRequest) -> None:
        """Insert the key, or replace an expired one.

        If another transaction has inserted it, PostgreSQL waits here until that one ends. SQLite
        has one writer at a time, so there it has ended.
        """
        now, dialect = self._clock(), tx.get_bind().dialect.name
        values = asdict(request) | {"created_at": now}
        upsert = sqlite.insert(KEYS) if dialect == "sqlite" else postgresql.insert(KEYS)
        statement = (
            upsert.values(values)
            .on_conflict_do_update(
                index_elements=[KEYS.c.scope, KEYS.c.key_digest],
                set_=values,
                where=KEYS.c.created_at <= now - LIFETIME,
            )
            .returning(KEYS.c.scope)
        )
        if dialect == "postgresql":  # for this transaction, whose other waits should be short, too
            timeout = f"{round(WAIT_SECONDS * 1000)}ms"
            tx.execute(sa.select(sa.func.set_config("lock_timeout", timeout, True)))
        try:
            inserted = tx.execute(statement).first()
        except OperationalError as error:
            if getattr(error.orig, "sqlstate", None) == _LOCK_NOT_AVAILABLE:
                raise KeyInFlight from error
            raise
        if inserted is None:
            raise KeyTaken


def old_keys(before: datetime) -> ReturningDelete[tuple[str]]:
    """The statement that deletes the oldest of the keys that were created before that time.

    By one range of the index: for a list of keys, PostgreSQL may read them all.
    """
    oldest = (
        sa.select(KEYS.c.created_at)
        .where(KEYS.c.created_at <= before)
        .order_by(KEYS.c.created_at)
        .limit(_DELETED_AT_ONCE)
        .subquery()
    )
    last = sa.select(sa.func.max(oldest.c.created_at)).scalar_subquery()
    return sa.delete(KEYS).where(KEYS.c.created_at <= last).returning(KEYS.c.key_digest)


def forget_user(tx: Transaction, user_id: int) -> None:
    """Delete the kept responses about a user, in the transaction that deletes the user."""
    tx.execute(sa.delete(KEYS).where(KEYS.c.user_id == user_id))
