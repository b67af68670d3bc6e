"""Messages to Notification, written in the transactions that cause them and posted by workers."""

from typing import Any

from sqlalchemy import select

from common.pyportal_common.db import Transaction
from common.pyportal_common.jobs.outbox import BaseOutbox

from .models import Message, Task


class Outbox(BaseOutbox[Message]):
    """Writes messages. Workers find them within a second."""

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
        self.publish(tx, Message(user_id=task.user_id), body)

    def user_deleted(self, tx: Transaction, user_id: int) -> None:
        """Cancel the user's messages that have not been posted."""
        for message in tx.scalars(
            select(Message).where(Message.user_id == user_id).order_by(Message.id).with_for_update()
        ):
            message.body, message.user_id = {}, None
            if not message.has_ended:
                self.cancel(message)
