"""The replies of User Management's reads are those of the recorded table."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import ClassVar

import pytest
from flask import Flask

from app.models import User
from common.pyportal_common.cache_handlers import RateLimit
from common.pyportal_common.testing.read_checks import ReadChecks
from common.pyportal_common.testing.recorded import MOMENT, Recorded, RecordedReplies, reads_of

from .conftest import MakeApp, services_of

TOKEN = "a-token-of-notification"
_SERVICE = {"X-Service-Token": TOKEN}


class TestRecorded(RecordedReplies, ReadChecks):
    table = Path(__file__).with_name("recorded.json")
    paths: ClassVar = {"/users/<id:user_id>": "/users/7", "/users/me": "/users/me"}

    @pytest.fixture
    def recorded_app(self, make_app: MakeApp, placement: str) -> Flask:
        return make_app(
            redis_url=placement,
            service_tokens=f"notification:{TOKEN}",
            rate_limit_login=RateLimit("login", 2, 60),
        )

    @pytest.fixture
    def rows(self, recorded_app: Flask) -> None:
        with services_of(recorded_app).database.begin() as tx:
            for number, name, role in (
                (1, "admin", "admin"),
                (7, "jöhn", "user"),
                (8, "jane", "user"),
            ):
                tx.add(
                    User(
                        id=number,
                        username=name,
                        username_key=name,
                        email=f"{name}@example.com",
                        email_key=f"{name}@example.com",
                        email_verified_at=MOMENT if number == 7 else None,
                        first_name='"}\\ \u2028</script>',
                        last_name="Ünïcode 😀" if number == 7 else None,
                        date_of_birth=date(1990, 1, 31) if number == 7 else None,
                        password_hash="none",
                        role=role,
                        created_at=MOMENT,
                        updated_at=MOMENT.replace(microsecond=0),
                    )
                )

    def requests(self) -> Iterator[Recorded]:
        yield from reads_of("/users/7", missing="/users/99")
        yield Recorded("not found, admin", "/users/99", "admin")
        yield Recorded("not found, admin, cached", "/users/99", "admin")
        yield Recorded("service", "/users/7", None, headers=_SERVICE)
        yield Recorded("service, miss", "/users/8", None, headers=_SERVICE)
        yield Recorded("service, not found", "/users/98", None, headers=_SERVICE)
        yield Recorded("service and session", "/users/7", "jane", headers=_SERVICE)
        yield Recorded("list", "/users", "admin")
        yield Recorded("list, not admin", "/users")
        yield Recorded("search", "/users?username=JANE", "admin")
        yield Recorded("search, hit", "/users?username=jane", "admin")
        yield Recorded("search by address", "/users?email=jane@example.com", "admin")
        yield Recorded("search, none", "/users?username=nobody", "admin")
        yield Recorded("own sessions", "/sessions", None)
        for number in range(3):
            yield Recorded(f"limit, {number}", "/login", None, method="POST")
