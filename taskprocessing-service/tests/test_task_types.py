"""Task types that only another version knows, during a rolling upgrade."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import select

from app.models import Task
from app.services import Services


def add(services: Services, task_type: str) -> int:
    """Add a task that should have been sent long ago."""
    task = Task(
        reference=task_type, user_id=1, task_type=task_type, parameters={}, priority="normal"
    )
    with services.database.begin() as tx:
        services.jobs.put(tx, task)
        task.send_at = datetime.now(UTC) - timedelta(hours=1)
    return task.id


def test_unknown_type_does_not_keep_others_from_being_sent(services: Services) -> None:
    ids = [add(services, "of_tomorrow"), add(services, "flight_booking")]

    assert sorted(due.id for due in services.jobs.to_send("normal", 10)) == ids


def test_unknown_type_does_not_keep_others_from_being_recovered(services: Services) -> None:
    for task_type in ("of_tomorrow", "flight_booking"):
        assert services.jobs.claim(add(services, task_type)) is not None
    with services.database.begin() as tx:
        for task in tx.scalars(select(Task)):
            task.lease_until = datetime.now(UTC) - timedelta(hours=1)

    assert services.jobs.recover() == 2
