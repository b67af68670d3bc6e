"""Task types that only another version knows, during a rolling upgrade."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import select

from app.models import Task
from app.services import Services


def add(services: Services, task_type: str) -> int:
    """Add a task."""
    task = Task(
        reference=task_type, user_id=1, task_type=task_type, parameters={}, priority="normal"
    )
    with services.database.begin() as tx:
        services.jobs.put(tx, task)
    return task.id


def test_unknown_type_does_not_keep_others_from_being_claimed(services: Services) -> None:
    ids = [add(services, "of_tomorrow"), add(services, "flight_booking")]

    assert sorted(claim.row.id for claim in services.jobs.claim(10)) == ids


def test_unknown_type_does_not_keep_others_from_being_recovered(services: Services) -> None:
    for task_type in ("of_tomorrow", "flight_booking"):
        add(services, task_type)
    assert len(services.jobs.claim(10)) == 2
    with services.database.begin() as tx:
        for task in tx.scalars(select(Task)):
            task.lease_until = datetime.now(UTC) - timedelta(hours=1)

    assert services.jobs.recover() == 2
