"""The service with a console, and an admin who looks at it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from common.pyportal_common.admin_settings import AdminSettings
from common.pyportal_common.redis_server import RedisServer
from common.pyportal_common.testing.kit import session_headers

from .pages import ADMIN_DATA, Headers, MakeApp
from .service import Services, create_app


@pytest.fixture
def make_app(
    redis_server: RedisServer, sql_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[MakeApp]:
    made: list[Services] = []
    monkeypatch.chdir(tmp_path)

    def make(*, redis_url: str = redis_server.url, has_users: bool = False, **given: Any) -> Flask:
        monkeypatch.setenv("REDIS_URL", redis_url)
        settings = AdminSettings.load(
            database_url=sql_url, cache_audit_seconds=0, **{"console": "on", **given}
        )
        services = Services(settings, has_users=has_users)
        services.create_tables()
        made.append(services)
        app = create_app(settings, services, tmp_path)
        app.extensions["services"] = services
        return app

    yield make
    for services in made:
        services.close()


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    return make_app()


@pytest.fixture
def services(app: Flask) -> Services:
    found: Services = app.extensions["services"]
    return found


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client(use_cookies=False)


@pytest.fixture
def admin(app: Flask) -> Headers:  # noqa: ARG001  it sets the server of sessions
    return session_headers(1, **ADMIN_DATA)
