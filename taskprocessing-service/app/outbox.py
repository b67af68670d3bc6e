"""Messages to Notification, written in the transactions that cause them and posted by workers."""

from typing import Any

from sqlalchemy import select

from common.pyportal_common.db import Database, Transaction
from common.pyportal_common.jobs import Jobs, Run
from common.pyportal_common.jobs.outbox import (
    OutboxMessage,
    OutboxSettings,
    forget_old,
    post,
    publish,
)
from common.pyportal_common.outbound import CircuitBreakers

from .models import Message, Task


class Outbox:
    """Writes messages and posts them. The workers' sweepers queue them after the commit."""

    def __init__(
        self, messages: Jobs[OutboxMessage], settings: OutboxSettings, breakers: CircuitBreakers
    ) -> None:
        self._messages = messages
        self._settings = settings
        self._breakers = breakers

    def task_ended(self, tx: Transaction, task: Task) -> None:
        """Notify the user that a task completed or failed; not of one that the user cancelled."""
        data: dict[str, Any] = {"taskReference": task.reference, "taskType": task.task_type}
        if task.status == task.STATES.done:
            template, data["details"] = "task_completed", task.details
        elif task.status == task.STATES.failed:
            template, data["error"] = "task_failed", task.error
        else:
            return
        body = {"channel": "email", "userId": task.user_id, "template": template, "data": data}
        publish(tx, Message(), jobs=self._messages, body=body, leave_to_sweeper=True)

    def user_deleted(self, tx: Transaction, user_id: int) -> None:
        """Cancel the user's messages that have not been posted."""
        for message in tx.scalars(
            select(Message)
            .where(Message.send_at.is_not(None), Message.body["userId"].as_integer() == user_id)
            .with_for_update()
        ):
            message.body = {}
            self._messages.cancel(message)

    def deliver(self, run: Run[OutboxMessage]) -> None:
        """Post a message, as a worker does."""
        post(run, self._settings, self._breakers)

    def delete_old(self, database: Database) -> None:
        """Delete the messages that ended a week ago."""
        forget_old(database, Message)
