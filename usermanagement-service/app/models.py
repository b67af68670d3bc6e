"""The tables of the users database."""

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, Integer, MetaData, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from common.pyportal_common.cache_handlers import keys
from common.pyportal_common.cached_rows import CachedRow
from common.pyportal_common.columns import NAMING_CONVENTION, UtcDateTime

NO_MORE = 2**31 - 1  # the auth epoch of users who are deleted: ids are not given out twice


class Base(DeclarativeBase):
    """Names every constraint, so that an error tells which one was violated."""

    metadata = MetaData(naming_convention=NAMING_CONVENTION)


class User(CachedRow, Base):
    """A user. Names and addresses are kept as given; their `_key` decides what is the same."""

    __tablename__ = "users"
    # An id is never given out twice.
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012  as SQLAlchemy has it

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    username: Mapped[str] = mapped_column(String(20), active_history=True)
    username_key: Mapped[str] = mapped_column(String(20), unique=True)
    email: Mapped[str] = mapped_column(String(254), active_history=True)
    email_key: Mapped[str] = mapped_column(Text, unique=True)
    first_name: Mapped[str | None] = mapped_column(String(100))
    last_name: Mapped[str | None] = mapped_column(String(100))
    date_of_birth: Mapped[date | None]
    password_hash: Mapped[str] = mapped_column(String(255))
    role: Mapped[str] = mapped_column(String(20), server_default="user", default="user")
    # Raised when all sessions of the user have to end: see SessionStore.revoke_all.
    auth_epoch: Mapped[int] = mapped_column(Integer, server_default="0", default=0)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)

    @classmethod
    def cache_keys(cls, row: Mapping[str, Any]) -> Iterable[str]:
        """The user, and both ways to look the id up."""
        return (
            keys.user(row["id"]),
            keys.username_lookup(row["username"]),
            keys.email_lookup(row["email"]),
        )
