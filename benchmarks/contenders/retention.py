"""Deletes old tasks as the schedule does, and prints how many a second.

It runs in the folder of Task Processing.
"""

import json
import time

from sqlalchemy import func, select

from app.models import Task  # type: ignore[import-not-found]  # it starts in that folder
from app.services import Services  # type: ignore[import-not-found]  # as above
from app.settings import TaskProcessingSettings  # type: ignore[import-not-found]  # as above


def main() -> None:
    """Delete all that are old."""
    services = Services(TaskProcessingSettings.load())
    services.prepare_worker()

    def count() -> int:
        with services.database.read() as tx:
            return tx.scalar(select(func.count()).select_from(Task)) or 0

    before, began = count(), time.monotonic()
    services.tasks.delete_old()
    seconds = time.monotonic() - began
    print(json.dumps((before - count()) / seconds))
    services.close()


if __name__ == "__main__":
    main()
