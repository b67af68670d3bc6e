"""The service's README and OpenAPI texts agree with the code."""

import re
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.settings import UserManagementSettings
from common.pyportal_common.jobs import QueueSettings, WorkerSettings
from common.pyportal_common.jobs.outbox import OutboxSettings
from common.pyportal_common.redis_server import RedisServer
from common.pyportal_common.testing.plugin import run_examples

from .conftest import json_of

SERVICE = Path(__file__).parent.parent
README = SERVICE / "README.md"


def test_the_examples_in_the_readme_run(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("REDIS_URL", redis_server.url)
    monkeypatch.chdir(tmp_path)

    run_examples(README)


def test_every_variable_is_in_the_readme_and_in_the_example_file() -> None:
    readme = README.read_text("utf-8")
    example = (SERVICE / ".env.example").read_text("utf-8")

    for settings in (UserManagementSettings, OutboxSettings, WorkerSettings, QueueSettings):
        prefix = settings.model_config.get("env_prefix", "")
        for field in settings.model_fields:
            name = f"{prefix}{field}".upper()
            assert f"`{name}`" in readme
            assert f"{name}=" in example


def test_every_endpoint_is_in_the_readme(app: Flask) -> None:
    readme = README.read_text("utf-8")

    for rule in app.url_map.iter_rules():
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            assert f"`{method} {path}`" in readme or path.startswith("/docs/")


def test_the_introduction_orders_the_calls(client: FlaskClient) -> None:
    described = json_of(client.get("/openapi.json"))

    calls = re.findall(r"^\d\. `(\w+) ([^`]+)`", described["info"]["description"], re.MULTILINE)
    assert [path for _, path in calls] == [
        "/registerUser",
        "/email/verify",
        "/login",
        "/users/{user_id}",
        "/users/{user_id}",
        "/logout",
    ]
    for method, path in calls:
        assert method.lower() in described["paths"][f"/api/v1/airliner{path}"]
