"""Fixtures: apps that use the extension, on a real Redis."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from common.pyportal_common.extension import Portal
from common.pyportal_common.redis_server import RedisServer

MakeApp = Callable[..., Flask]


@pytest.fixture
def portal() -> Portal:
    return Portal()


@pytest.fixture
def make_app(
    portal: Portal, redis_server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> MakeApp:
    """Creates apps: make_app(PORTAL_SESSION=True)."""
    monkeypatch.chdir(tmp_path)

    def make(name: str = "shop", **config: Any) -> Flask:
        app = Flask(name)
        app.config.update({"REDIS_URL": redis_server.url, **config})
        portal.init_app(app)
        return app

    return make


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    return make_app()
