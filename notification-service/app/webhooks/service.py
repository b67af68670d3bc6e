"""Webhooks: their registration, their secrets, and whether they are enabled."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError

from common.pyportal_common.db import Database, Transaction, violated_columns

from ..errors import TooManyWebhooks, WebhookAlreadyExists, WebhookNotFound
from ..models import Webhook
from .schemas import (
    MAX_WEBHOOKS,
    NewWebhook,
    NewWebhookView,
    WebhookChanges,
    WebhookList,
    WebhookSearch,
    WebhookView,
)
from .signatures import new_secret

_BOTH_SIGN_FOR = timedelta(hours=24)  # after a rotation


class Webhooks:
    """The webhooks of all users."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, new: NewWebhook, user_id: int) -> NewWebhookView:
        """Register a webhook, and return it with its secret.

        Raises WebhookAlreadyExists and TooManyWebhooks.
        """
        webhook = Webhook(
            user_id=user_id,
            url=new.url,
            event_types=new.event_types,
            secret=new_secret(),
            created_at=self._database.now(),
        )
        try:
            with self._database.begin(changes_cached=False) as tx:
                of_user = Webhook.user_id == user_id
                # Locks the user's webhooks, so that concurrent registrations count one by one.
                tx.execute(select(Webhook.id).where(of_user).with_for_update())
                if (tx.scalar(select(func.count()).where(of_user)) or 0) >= MAX_WEBHOOKS:
                    raise TooManyWebhooks
                tx.add(webhook)
        except IntegrityError as error:
            raise WebhookAlreadyExists if violated_columns(error, ["url"]) else error from error
        return NewWebhookView.model_validate(webhook)

    def page(self, search: WebhookSearch, user_id: int) -> WebhookList:
        """A page of a user's webhooks, the oldest first."""
        query = select(Webhook).where(Webhook.user_id == user_id)
        if search.cursor is not None:
            query = query.where(Webhook.id > int(search.cursor))
        with self._database.read() as tx:
            found = tx.scalars(query.order_by(Webhook.id).limit(search.limit + 1)).all()
        shown = found[: search.limit]
        following = str(shown[-1].id) if len(found) > len(shown) else None
        return WebhookList(items=[*map(WebhookView.model_validate, shown)], next=following)

    def find(self, webhook_id: int, user_id: int) -> WebhookView:
        """A webhook of the user. Raises WebhookNotFound."""
        with self._database.read() as tx:
            webhook = tx.get(Webhook, webhook_id)
        if webhook is None or webhook.user_id != user_id:
            raise WebhookNotFound
        return WebhookView.model_validate(webhook)

    def change(self, webhook_id: int, changes: WebhookChanges, user_id: int) -> WebhookView:
        """Change the types of events, or enable or disable a webhook. Raises WebhookNotFound."""
        with self.locked(webhook_id, user_id) as (_, webhook):
            if "event_types" in changes.model_fields_set:
                webhook.event_types = changes.event_types
            if changes.enabled is True:
                webhook.enable()
            elif changes.enabled is False and webhook.enabled:
                webhook.disable("You have disabled it")
        return WebhookView.model_validate(webhook)

    def rotate_secret(self, webhook_id: int, user_id: int) -> NewWebhookView:
        """Give a webhook a new secret. The old one signs too for 24 hours.

        Raises WebhookNotFound.
        """
        with self.locked(webhook_id, user_id) as (_, webhook):
            webhook.previous_secret = webhook.secret
            webhook.previous_secret_until = self._database.now() + _BOTH_SIGN_FOR
            webhook.secret = new_secret()
        return NewWebhookView.model_validate(webhook)

    @contextmanager
    def locked(self, webhook_id: int, user_id: int) -> Iterator[tuple[Transaction, Webhook]]:
        """A transaction that has locked a webhook of the user. Raises WebhookNotFound."""
        with self._database.begin(changes_cached=False) as tx:
            webhook = tx.get(Webhook, webhook_id, with_for_update=True)
            if webhook is None or webhook.user_id != user_id:
                raise WebhookNotFound
            yield tx, webhook

    def secrets_of(self, user_id: int | None, url: str | None) -> list[str]:
        """The secrets of a registered webhook; none if the user has not registered the URL."""
        if user_id is None or url is None:
            return []
        with self._database.read() as tx:
            found = tx.scalar(select(Webhook).where(Webhook.user_id == user_id, Webhook.url == url))
        return [] if found is None else found.secrets(self._database.now())

    def remove(self, webhook_id: int, user_id: int) -> None:
        """Delete a webhook. Its deliveries are suppressed when they are due.

        Raises WebhookNotFound.
        """
        with self.locked(webhook_id, user_id) as (tx, webhook):
            tx.delete(webhook)

    def remove_all(self, user_id: int) -> None:
        """Delete all webhooks of a user."""
        with self._database.begin(changes_cached=False) as tx:
            tx.execute(delete(Webhook).where(Webhook.user_id == user_id))
