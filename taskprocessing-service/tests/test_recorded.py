"""The replies of Task Processing's reads are those of the recorded table."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from flask import Flask

from app.models import Flight, Task
from common.pyportal_common.cache_handlers import RateLimit
from common.pyportal_common.testing.read_checks import ReadChecks
from common.pyportal_common.testing.recorded import (
    MOMENT,
    Recorded,
    RecordedReplies,
    conditional_reads_of,
    reads_of,
)

from .conftest import MakeApp, services_of


class TestRecorded(RecordedReplies, ReadChecks):
    table = Path(__file__).with_name("recorded.json")
    paths: ClassVar = {
        "/tasks": "/tasks",
        "/tasks/<id:task_id>": "/tasks/7",
        "/flights/<id:flight_id>/availability": "/flights/7/availability",
    }

    @pytest.fixture
    def recorded_app(self, make_app: MakeApp, placement: str) -> Flask:
        return make_app(redis_url=placement, rate_limit_tasks=RateLimit("tasks", 2, 60))

    @pytest.fixture
    def rows(self, recorded_app: Flask) -> None:
        times = {"created_at": MOMENT, "updated_at": MOMENT.replace(microsecond=0)}
        with services_of(recorded_app).database.begin() as tx:
            for number in (7, 8):
                tx.add(
                    Flight(
                        id=number,
                        flight_number=f"PY10{number}",
                        origin="LIS",
                        destination="OSL",
                        departs_at=MOMENT,
                        total_seats=100,
                        available_seats=number - 7,
                        **times,
                    )
                )
            # User 8 has more tasks than a page.
            for number in (6, 7, *range(100, 151)):
                tx.add(
                    Task(
                        id=number,
                        reference=f"TASK-{number}",
                        user_id=7 if number < 100 else 8,
                        task_type="flight_booking",
                        parameters={"flightId": 7, "seats": 1.5, "_v": 1, "é": "\u2028<😀"},
                        details={"empty": {}, "none": [], "large": 1e30, "deep": {"_v": 1}},
                        status="completed",
                        priority="normal",
                        error='"quoted" \\ {"_v":1,' if number == 7 else None,
                        started_at=MOMENT,
                        finished_at=MOMENT,
                        **times,
                    )
                )

    def requests(self) -> Iterator[Recorded]:
        yield from reads_of("/tasks/7", missing="/tasks/99")
        yield from conditional_reads_of("/tasks/7")
        yield Recorded("list, miss", "/tasks")
        yield Recorded("list, hit", "/tasks")
        yield Recorded("list, head", "/tasks", method="HEAD")
        yield Recorded("list of a page and more", "/tasks", "jane")
        yield Recorded("list of a page and more, hit", "/tasks", "jane")
        yield Recorded("empty list", "/tasks", "admin")
        yield Recorded("empty list, hit", "/tasks", "admin")
        yield Recorded("list of no user of this portal", "/tasks", "guest")
        yield Recorded("list without a session", "/tasks", None)
        yield Recorded("second page", "/tasks?cursor=101", "jane")
        yield Recorded("by status", "/tasks?status=failed")
        yield Recorded("bad status", "/tasks?status=odd")
        yield Recorded("no file", "/tasks/7/file")
        yield from reads_of(
            "/flights/7/availability", missing="/flights/99/availability", other=None
        )
        yield Recorded("seats", "/flights/8/availability")
        yield Recorded("flight", "/flights/7")
        yield Recorded("no flight", "/flights/99")
        yield Recorded("flights", "/flights")
        for number in range(3):
            yield Recorded(f"limit, {number}", "/tasks", method="POST")
