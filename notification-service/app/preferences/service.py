"""What users want to be notified of, and links that turn a category of e-mails off."""

import base64
import hmac
import re
import secrets
from collections.abc import Iterable
from typing import get_args

from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite

from common.pyportal_common.db import Database, Transaction

from ..errors import UnsubscribeLinkInvalid
from ..models import Notification, Preference, SigningKey
from .categories import CATEGORIES, REQUIRED, category_of
from .schemas import Channel, PreferenceChange, PreferenceView

_KEY_NAME = "unsubscribe"
_TOKEN = re.compile(r"([1-9][0-9]{0,17})\.([a-z]+)\.([A-Za-z0-9_-]{43})")


class Preferences:
    """The preferences of all users. A user without a row wants everything.

    `unsubscribe_url` is the address of the route that takes a token.
    """

    def __init__(self, database: Database, *, unsubscribe_url: str) -> None:
        self._database = database
        self._unsubscribe_url = unsubscribe_url
        self._key: bytes | None = None

    def of_user(self, user_id: int) -> list[PreferenceView]:
        """The preferences for each category and channel."""
        with self._database.read() as tx:
            rows = tx.scalars(select(Preference).where(Preference.user_id == user_id)).all()
        off = {(row.category, row.channel) for row in rows}
        return [
            PreferenceView(
                category=category,
                channel=channel,
                enabled=(category, channel) not in off,
                required=category == REQUIRED,
            )
            for category in CATEGORIES
            for channel in get_args(Channel)
        ]

    def change(self, changes: Iterable[PreferenceChange], user_id: int) -> list[PreferenceView]:
        """Change some preferences. Returns all of them."""
        with self._database.begin(changes_cached=False) as tx:
            for change in changes:
                _set(tx, user_id, change.category, change.channel, enabled=change.enabled)
        return self.of_user(user_id)

    def wants(self, notification: Notification) -> bool:
        """Whether the user wants a notification on its channel."""
        category = category_of(notification)
        if category in (None, REQUIRED) or notification.user_id is None:
            return True
        key = (notification.user_id, category, notification.channel)
        with self._database.read() as tx:
            return tx.get(Preference, key) is None

    def unsubscribe_link(self, notification: Notification) -> str | None:
        """A link that turns e-mails like this one off; None if they are required."""
        category = category_of(notification)
        if category in (None, REQUIRED) or notification.user_id is None:
            return None
        signed = f"{notification.user_id}.{category}"
        return f"{self._unsubscribe_url}?token={signed}.{self._signature(signed)}"

    def unsubscribe(self, token: str) -> None:
        """Turn e-mails of a category off, by the token of a link. Raises UnsubscribeLinkInvalid."""
        found = _TOKEN.fullmatch(token)
        if found is None or found[2] not in CATEGORIES:
            raise UnsubscribeLinkInvalid
        if not hmac.compare_digest(self._signature(f"{found[1]}.{found[2]}"), found[3]):
            raise UnsubscribeLinkInvalid
        with self._database.begin(changes_cached=False) as tx:
            _set(tx, int(found[1]), found[2], "email", enabled=False)

    def forget(self, user_id: int) -> None:
        """Delete the preferences of a user."""
        with self._database.begin(changes_cached=False) as tx:
            tx.execute(delete(Preference).where(Preference.user_id == user_id))

    def _signature(self, text: str) -> str:
        self._key = self._key or self._stored_key()
        digest = hmac.digest(self._key, text.encode(), "sha256")
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")

    def _stored_key(self) -> bytes:
        """The key that all processes share. The first one stores it."""
        with self._database.read() as tx:
            found = tx.get(SigningKey, _KEY_NAME)
        if found is None:
            with self._database.begin(changes_cached=False) as tx:
                new = {"name": _KEY_NAME, "key": secrets.token_hex(32)}
                tx.execute(_insert(tx, SigningKey).values(new).on_conflict_do_nothing())
                found = tx.get_one(SigningKey, _KEY_NAME)
        return bytes.fromhex(found.key)


def _set(tx: Transaction, user_id: int, category: str, channel: str, *, enabled: bool) -> None:
    """Store what is turned off: a row for each."""
    key = {"user_id": user_id, "category": category, "channel": channel}
    if enabled:
        tx.execute(delete(Preference).filter_by(**key))
    else:
        tx.execute(_insert(tx, Preference).values(key).on_conflict_do_nothing())


def _insert(
    tx: Transaction, model: type[Preference] | type[SigningKey]
) -> sqlite.Insert | postgresql.Insert:
    is_sqlite = tx.get_bind().dialect.name == "sqlite"
    return sqlite.insert(model) if is_sqlite else postgresql.insert(model)
