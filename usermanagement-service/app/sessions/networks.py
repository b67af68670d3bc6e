"""The networks that users have logged in from, and notifications about new ones."""

import logging
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from common.pyportal_common.db import Database

from ..errors import UserNotFound
from ..models import LoginNetwork, Message, User
from ..outbox import Outbox

logger = logging.getLogger(__name__)

_MAX_NETWORKS = 100  # per user: the oldest are removed


class LoginNetworks:
    """Records the network of each login, and notifies users of logins from new networks."""

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._database = database
        self._outbox = outbox

    def record(self, user_id: int, network: str) -> None:
        """Record a login, and notify the user if the network is new and not their first.

        A known network costs one SQL read. Neither a SQL error nor TooManyWaitingWriters fails the
        login: the next login from this network is then treated as the first from there.
        """
        try:
            with self._database.read() as tx:
                known = tx.get(LoginNetwork, (user_id, network))
            if known is None:
                self._record_new(user_id, network)
        except UserNotFound:
            pass  # deleted meanwhile: the sessions end
        except SQLAlchemyError as error:
            logger.warning(
                "The network of a login was not recorded: %s", getattr(error, "orig", None) or error
            )

    def _record_new(self, user_id: int, network: str) -> None:
        messages: list[Message] = []
        with self._database.begin(changes_cached=False) as tx:
            user = User.lock(tx, User.id == user_id)  # of concurrent logins only one notifies
            known = tx.scalars(
                select(LoginNetwork)
                .where(LoginNetwork.user_id == user_id)
                .order_by(LoginNetwork.first_seen_at)
            ).all()
            if network in {row.network for row in known}:
                return
            for oldest in known[: max(0, len(known) - _MAX_NETWORKS + 1)]:
                tx.delete(oldest)
            now = datetime.now(UTC)
            tx.add(LoginNetwork(user_id=user_id, network=network, first_seen_at=now))
            if known:
                messages.append(self._outbox.new_login(tx, user, network, now))
        self._outbox.send(*messages)
