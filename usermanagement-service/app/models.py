"""The tables of the users database."""

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from common.pyportal_common.cache_handlers import keys
from common.pyportal_common.db import Base, CachedRow, UtcDateTime
from common.pyportal_common.jobs import job_indexes
from common.pyportal_common.jobs.outbox import OutboxMessage

NO_MORE = 2**31 - 1  # the auth epoch of users who are deleted: ids are not given out twice

_Id = BigInteger().with_variant(Integer, "sqlite")


class User(CachedRow, Base):
    """A user. Names and addresses are kept as given; their `_key` decides what is the same."""

    __tablename__ = "users"
    # An id is never given out twice.
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012  as SQLAlchemy has it

    id: Mapped[int] = mapped_column(_Id, primary_key=True)
    username: Mapped[str] = mapped_column(String(20), active_history=True)
    username_key: Mapped[str] = mapped_column(String(20), unique=True)
    email: Mapped[str] = mapped_column(String(254), active_history=True)
    email_key: Mapped[str] = mapped_column(Text, unique=True)
    # When somebody followed a link that had been mailed to this very address.
    email_verified_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    first_name: Mapped[str | None] = mapped_column(String(100))
    last_name: Mapped[str | None] = mapped_column(String(100))
    date_of_birth: Mapped[date | None]
    password_hash: Mapped[str] = mapped_column(String(255))
    role: Mapped[str] = mapped_column(String(20), server_default="user", default="user")
    # Raised when all sessions of the user have to end: see SessionStore.revoke_all.
    auth_epoch: Mapped[int] = mapped_column(Integer, server_default="0", default=0)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)

    @property
    def email_verified(self) -> bool:
        """Whether the address is known to be the user's."""
        return self.email_verified_at is not None

    @classmethod
    def cache_keys(cls, row: Mapping[str, Any]) -> Iterable[str]:
        """The user, and both ways to look the id up."""
        return (
            keys.user(row["id"]),
            keys.username_lookup(row["username"]),
            keys.email_lookup(row["email"]),
        )


class UserToken(Base):
    """A link that was mailed to a user, who can use it once. What is in the link is not in here."""

    __tablename__ = "user_tokens"

    id: Mapped[int] = mapped_column(_Id, primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    purpose: Mapped[str] = mapped_column(String(10))
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    email: Mapped[str] = mapped_column(String(254))  # where it was mailed to
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class LoginAddress(Base):
    """A network that a user has logged in from: an IPv4 address, or 64 bits of an IPv6 one."""

    __tablename__ = "login_addresses"

    user_id: Mapped[int] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    network: Mapped[str] = mapped_column(String(50), primary_key=True)
    first_seen_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Event(OutboxMessage, Base):
    """Something that another service has to hear of, and by `expires_at`, or it is of no use.

    `user_id` is whom it tells something: if they are deleted before they are told, it ends.
    """

    __tablename__ = "events"
    __table_args__ = (
        Index("ix_events_finished_at", "finished_at"),
        *job_indexes("events"),
        {"sqlite_autoincrement": True},
    )

    user_id: Mapped[int | None] = mapped_column(BigInteger, index=True)
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
