"""The webhooks that users register. No HTTP here."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from common.pyportal_common.db import Database, violated_columns

from .errors import TooManyWebhooks, WebhookAlreadyExists, WebhookNotFound
from .models import Webhook
from .schemas import NewWebhook, NewWebhookView, WebhookView
from .webhook_calls import new_secret

_MOST = 20  # of a user


def add(new: NewWebhook, *, user_id: int, database: Database) -> dict[str, Any]:
    """Register a webhook; with its secret, this once.

    Raises WebhookAlreadyExists and TooManyWebhooks.
    """
    webhook = Webhook(
        user_id=user_id, url=new.url, secret=new_secret(), created_at=datetime.now(UTC)
    )
    try:
        with database.begin() as tx:
            theirs = Webhook.user_id == user_id
            tx.execute(select(Webhook.id).where(theirs).with_for_update())  # one at a time
            number = tx.scalar(select(func.count()).where(theirs))
            if (number or 0) >= _MOST:
                raise TooManyWebhooks
            tx.add(webhook)
    except IntegrityError as error:
        raise WebhookAlreadyExists if violated_columns(error, ["url"]) else error from error
    return NewWebhookView.model_validate(webhook).model_dump(mode="json")


def of_user(user_id: int, *, database: Database) -> list[dict[str, Any]]:
    """All webhooks of a user, without their secrets."""
    with database.read() as tx:
        rows = tx.scalars(
            select(Webhook).where(Webhook.user_id == user_id).order_by(Webhook.id)
        ).all()
    return [WebhookView.model_validate(row).model_dump(mode="json") for row in rows]


def remove(webhook_id: int, *, user_id: int, database: Database) -> None:
    """Forget a webhook. Raises WebhookNotFound."""
    with database.begin() as tx:
        webhook = tx.get(Webhook, webhook_id)
        if webhook is None or webhook.user_id != user_id:
            raise WebhookNotFound
        tx.delete(webhook)
