"""The replies of Notification's reads are those of the recorded table."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from flask import Flask

from app.models import Attempt, Notification
from common.pyportal_common.cache_handlers import RateLimit
from common.pyportal_common.testing.read_checks import ReadChecks
from common.pyportal_common.testing.recorded import (
    MOMENT,
    Recorded,
    RecordedReplies,
    conditional_reads_of,
    reads_of,
)

from .conftest import TOKEN, MakeApp, services_of

_SERVICE = {"X-Service-Token": TOKEN}


class TestRecorded(RecordedReplies, ReadChecks):
    table = Path(__file__).with_name("recorded.json")
    paths: ClassVar = {
        "/notifications": "/notifications",
        "/notifications/<id:notification_id>": "/notifications/7",
        "/notifications/<id:notification_id>/status": "/notifications/7/status",
    }

    @pytest.fixture
    def recorded_app(self, make_app: MakeApp, placement: str) -> Flask:
        return make_app(
            redis_url=placement, rate_limit_notifications=RateLimit("notifications", 2, 60)
        )

    @pytest.fixture
    def rows(self, recorded_app: Flask) -> None:
        with services_of(recorded_app).database.begin() as tx:
            # Nobody has notification 9; user 8 has more than a page.
            for number in (6, 7, 9, *range(100, 151)):
                tx.add(
                    Notification(
                        id=number,
                        message_id=f"message-{number}",
                        source="usermanagement",
                        user_id={6: 7, 7: 7, 9: None}.get(number, 8),
                        channel="email",
                        recipient="jöhn@example.com",
                        template=None,
                        data={},
                        subject='😀 "}\\ \u2028</script>',
                        message="not shown",
                        status="failed",
                        priority="normal",
                        error='{"_v":1,' if number == 7 else None,
                        created_at=MOMENT,
                        updated_at=MOMENT.replace(microsecond=0),
                    )
                )
            tx.flush()
            tx.add(
                Attempt(notification_id=7, token="a", number=1, started_at=MOMENT, outcome="failed")
            )

    def requests(self) -> Iterator[Recorded]:
        for path in ("/notifications/7", "/notifications/7/status"):
            yield from reads_of(path, missing=path.replace("7", "99"))
            yield Recorded("service", path, None, headers=_SERVICE)
            yield Recorded("service, miss", path.replace("7", "9"), None, headers=_SERVICE)
            yield Recorded("service, not found", path.replace("7", "98"), None, headers=_SERVICE)
            yield Recorded("nobody's", path.replace("7", "9"))
        yield from conditional_reads_of("/notifications/7")
        yield Recorded("attempts", "/notifications/7/attempts")
        yield Recorded("attempts, another user's", "/notifications/7/attempts", "jane")
        yield Recorded("list, miss", "/notifications")
        yield Recorded("list, hit", "/notifications")
        yield Recorded("list of a page and more", "/notifications", "jane")
        yield Recorded("list of a page and more, hit", "/notifications", "jane")
        yield Recorded("empty list", "/notifications", "admin")
        yield Recorded("empty list, hit", "/notifications", "admin")
        yield Recorded("list of no user of this portal", "/notifications", "guest")
        yield Recorded("list, service", "/notifications", None, headers=_SERVICE)
        yield Recorded("second page", "/notifications?cursor=101", "jane")
        yield Recorded("by channel", "/notifications?channel=webhook")
        yield Recorded("webhooks", "/webhooks")
        for number in range(3):
            yield Recorded(f"limit, {number}", "/notifications", method="POST")
