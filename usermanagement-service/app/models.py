"""The tables of the users database."""

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    ForeignKey,
    Integer,
    LargeBinary,
    String,
    Text,
    select,
)
from sqlalchemy.orm import Mapped, mapped_column

from common.pyportal_common.cache_handlers import keys
from common.pyportal_common.db import Base, CachedRow, Transaction, UtcDateTime, add_audit_table
from common.pyportal_common.db.limit_overrides import add_overrides_table
from common.pyportal_common.jobs.heartbeats import add_workers_table
from common.pyportal_common.jobs.outbox import OutboxMessage, outbox_indexes
from common.pyportal_common.jobs.ticks import add_schedule_tables

from .errors import UserNotFound

DELETED_EPOCH = 2**31 - 1  # the auth epoch of deleted users: ids are never reused

add_audit_table(Base.metadata)
add_workers_table(Base.metadata)
add_overrides_table(Base.metadata)
add_schedule_tables(Base.metadata)

_Id = BigInteger().with_variant(Integer, "sqlite")


class User(CachedRow, Base):
    """A user. Names and addresses are stored as given; their `_key` is unique."""

    __tablename__ = "users"
    # Ids are never reused.
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012  as SQLAlchemy has it

    id: Mapped[int] = mapped_column(_Id, primary_key=True)
    username: Mapped[str] = mapped_column(String(20), active_history=True)
    username_key: Mapped[str] = mapped_column(String(20), unique=True)
    email: Mapped[str] = mapped_column(String(254), active_history=True)
    email_key: Mapped[str] = mapped_column(Text, unique=True)
    # When the user opened a link that was mailed to this address.
    email_verified_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    first_name: Mapped[str | None] = mapped_column(String(100))
    last_name: Mapped[str | None] = mapped_column(String(100))
    date_of_birth: Mapped[date | None]
    password_hash: Mapped[str] = mapped_column(String(255))
    role: Mapped[str] = mapped_column(String(20), server_default="user", default="user")
    # Increased to end all sessions of the user: see SessionStore.revoke_all.
    auth_epoch: Mapped[int] = mapped_column(Integer, server_default="0", default=0)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)

    @property
    def email_verified(self) -> bool:
        """Whether the e-mail address is verified."""
        return self.email_verified_at is not None

    @classmethod
    def lock(cls, tx: Transaction, condition: ColumnElement[bool]) -> "User":
        """The user, locked against changes until the transaction ends. Raises UserNotFound."""
        user = tx.scalar(select(cls).where(condition).with_for_update())
        if user is None:
            raise UserNotFound(condition)
        return user

    @classmethod
    def cache_keys(cls, row: Mapping[str, Any]) -> Iterable[str]:
        """The keys of the user, and of the lookups by username and e-mail address."""
        return (
            keys.user(row["id"]),
            keys.username_lookup(row["username"]),
            keys.email_lookup(row["email"]),
        )


class UserToken(Base):
    """A link that was mailed to a user and works once. The token itself is not stored."""

    __tablename__ = "user_tokens"

    id: Mapped[int] = mapped_column(_Id, primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    purpose: Mapped[str] = mapped_column(String(10))
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    email: Mapped[str] = mapped_column(String(254))  # the recipient
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class AuthenticatorApp(Base):
    """The authenticator app of a user: the seed of its codes, encrypted. See factors/seeds.py."""

    __tablename__ = "authenticator_apps"

    user_id: Mapped[int] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    seed: Mapped[str] = mapped_column(Text)
    # The time step of the last accepted code. No code of this or an earlier one is accepted.
    last_step: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Passkey(Base):
    """A passkey of a user: its public key, and how often the authenticator says it has signed."""

    __tablename__ = "passkeys"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012  as SQLAlchemy has it

    id: Mapped[int] = mapped_column(_Id, primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(50))
    credential_id: Mapped[str] = mapped_column(Text, unique=True)  # base64url
    public_key: Mapped[bytes] = mapped_column(LargeBinary)
    sign_count: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class BackupCode(Base):
    """An unused backup code, as a digest. A used one is deleted."""

    __tablename__ = "backup_codes"

    user_id: Mapped[int] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    digest: Mapped[str] = mapped_column(String(64), primary_key=True)


class FactorChallenge(Base):
    """What a device must sign, or the seed that a code must confirm: for one use, for minutes.

    A used one is deleted. `user_id` is null if no user is known yet.
    """

    __tablename__ = "factor_challenges"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    purpose: Mapped[str] = mapped_column(String(10))
    user_id: Mapped[int | None] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), index=True
    )
    seed: Mapped[str | None] = mapped_column(Text)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class FactorRemoval(Base):
    """An admin's request to remove the second factors of a user, after a waiting time."""

    __tablename__ = "factor_removals"

    user_id: Mapped[int] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    requested_at: Mapped[datetime] = mapped_column(UtcDateTime)
    due_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class LoginNetwork(Base):
    """A network that a user has logged in from: an IPv4 address, or the /64 of an IPv6 one."""

    __tablename__ = "login_addresses"

    user_id: Mapped[int] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    network: Mapped[str] = mapped_column(String(50), primary_key=True)
    first_seen_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Message(OutboxMessage, Base):
    """A message of the outbox. It is not delivered after `expires_at`.

    `user_id` is the user it is meant for: when that user is deleted, it is cancelled.
    """

    __tablename__ = "events"
    __table_args__ = (
        *outbox_indexes("events"),
        {"sqlite_autoincrement": True},
    )

    user_id: Mapped[int | None] = mapped_column(BigInteger, index=True)
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
