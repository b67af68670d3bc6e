"""Webhooks: their registration and their secrets."""

from datetime import UTC, datetime

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError

from common.pyportal_common.db import Database, violated_columns

from ..errors import TooManyWebhooks, WebhookAlreadyExists, WebhookNotFound
from ..models import Webhook
from .schemas import NewWebhook, NewWebhookView, WebhookView
from .signatures import new_secret

_MAX_WEBHOOKS = 20  # of one user


class Webhooks:
    """The webhooks of all users."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, new: NewWebhook, user_id: int) -> NewWebhookView:
        """Register a webhook, and return it with its secret.

        Raises WebhookAlreadyExists and TooManyWebhooks.
        """
        webhook = Webhook(
            user_id=user_id, url=new.url, secret=new_secret(), created_at=datetime.now(UTC)
        )
        try:
            with self._database.begin(changes_cached=False) as tx:
                of_user = Webhook.user_id == user_id
                # Locks the user's webhooks, so that concurrent registrations count one by one.
                tx.execute(select(Webhook.id).where(of_user).with_for_update())
                if (tx.scalar(select(func.count()).where(of_user)) or 0) >= _MAX_WEBHOOKS:
                    raise TooManyWebhooks
                tx.add(webhook)
        except IntegrityError as error:
            raise WebhookAlreadyExists if violated_columns(error, ["url"]) else error from error
        return NewWebhookView.model_validate(webhook)

    def of_user(self, user_id: int) -> list[WebhookView]:
        """All webhooks of a user, the oldest first."""
        with self._database.read() as tx:
            rows = tx.scalars(
                select(Webhook).where(Webhook.user_id == user_id).order_by(Webhook.id)
            ).all()
        return [WebhookView.model_validate(row) for row in rows]

    def secret_of(self, user_id: int | None, url: str | None) -> str | None:
        """The secret of a registered webhook; None if the user has not registered the URL."""
        if user_id is None or url is None:
            return None
        with self._database.read() as tx:
            return tx.scalar(
                select(Webhook.secret).where(Webhook.user_id == user_id, Webhook.url == url)
            )

    def remove(self, webhook_id: int, user_id: int) -> None:
        """Delete a webhook. Raises WebhookNotFound."""
        with self._database.begin(changes_cached=False) as tx:
            webhook = tx.get(Webhook, webhook_id)
            if webhook is None or webhook.user_id != user_id:
                raise WebhookNotFound
            tx.delete(webhook)

    def remove_all(self, user_id: int) -> None:
        """Delete all webhooks of a user."""
        with self._database.begin(changes_cached=False) as tx:
            tx.execute(delete(Webhook).where(Webhook.user_id == user_id))
