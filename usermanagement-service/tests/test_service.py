"""The service as a whole."""

import os
import re
import subprocess
import sys

from flask.testing import FlaskClient

from app import MIGRATIONS
from app.settings import UserManagementSettings
from app.users.schemas import CACHED_USER
from common.pyportal_common.cache_handlers import SessionLimits
from common.pyportal_common.jobs import WorkerSettings
from common.pyportal_common.jobs.outbox import OutboxSettings
from common.pyportal_common.redis_server import free_port
from common.pyportal_common.testing.kit import json_of
from common.pyportal_common.testing.service_checks import BodyChecks, ServiceChecks

from .conftest import JOHN, REGISTER, MakeApp


class TestService(ServiceChecks):
    settings = (
        UserManagementSettings,
        OutboxSettings,
        WorkerSettings,
        SessionLimits,
    )
    cached_views = (CACHED_USER,)


class TestBodies(BodyChecks):
    pass


def test_without_sql_a_registration_is_a_503(make_app: MakeApp) -> None:
    unreachable = f"postgresql+psycopg://portal@127.0.0.1:{free_port()}/postgres"
    client = make_app(database_url=unreachable).test_client()

    response = client.post(REGISTER, json=JOHN)

    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
    assert unreachable not in response.text


def test_the_introduction_orders_the_calls(client: FlaskClient) -> None:
    introduction = json_of(client.get("/openapi.json"))["info"]["description"]

    assert re.findall(r"^\d\. `\w+ ([^`]+)`", introduction, re.MULTILINE) == [
        "/registerUser",
        "/email/verify",
        "/login",
        "/users/{user_id}",
        "/users/{user_id}",
        "/logout",
    ]


def test_a_web_process_does_not_import_what_only_commands_and_others_need() -> None:
    code = "import sys, wsgi; print(*sys.modules)"

    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=MIGRATIONS.parent,
        env=os.environ | {"REDIS_URL": "redis://127.0.0.1:1", "DATA_DIR": "."},
        capture_output=True,
        text=True,
        check=True,
    )

    costly = {"alembic", "mako", "psycopg", "gunicorn", "webauthn"}
    assert costly.isdisjoint(run.stdout.split())
