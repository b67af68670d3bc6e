"""What admins did to the sessions of other users, recorded for a year."""

from datetime import UTC, datetime, timedelta

from common.pyportal_common.db import Database
from common.pyportal_common.db.batches import delete_in_batches

from .models import AdminAction

_KEPT = timedelta(days=365)


class AdminActions:
    """Records the actions of admins. The records stay when the users are deleted."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, action: str, actor_id: int, user_id: int, session: str = "") -> None:
        """Record what an admin is about to do, so that nothing is done without a record.

        `session` is a public id.
        """
        now = datetime.now(UTC)
        with self._database.begin(changes_cached=False) as tx:
            tx.add(
                AdminAction(
                    action=action, actor_id=actor_id, user_id=user_id, session=session, at=now
                )
            )

    def delete_old(self) -> None:
        """Delete the records that are older than a year."""
        old = AdminAction.at < datetime.now(UTC) - _KEPT
        delete_in_batches(self._database, AdminAction, old)
