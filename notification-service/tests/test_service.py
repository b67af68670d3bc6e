"""The service as a whole: health, migrations, documentation, and rules of every route."""

import re
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app import MIGRATIONS
from app.settings import NotificationSettings
from common.pyportal_common.db.migrations import check, migrate
from common.pyportal_common.jobs import QueueSettings, WorkerSettings
from common.pyportal_common.redis_server import RedisServer
from common.pyportal_common.testing.kit import API
from common.pyportal_common.testing.plugin import run_examples

from .conftest import WELCOME, Headers, MakeApp, fields_of
from .sender import NOTIFICATIONS, WEBHOOKS, Sender

SERVICE = Path(__file__).parent.parent
README = SERVICE / "README.md"


def test_a_healthy_service_says_so(client: FlaskClient) -> None:
    assert client.get("/livez").status_code == 200
    assert client.get("/readyz").status_code == 200
    assert client.get("/health").json == {
        "service": "notification",
        "status": "ok",
        "checks": {"redis": "ok", "database": "ok"},
    }


def test_without_redis_the_service_is_ready_and_degraded(
    make_app: MakeApp, own_redis: RedisServer
) -> None:
    client = make_app(redis_url=own_redis.url).test_client()
    own_redis.kill()

    health = client.get("/health")

    assert health.status_code == 200
    assert health.json is not None
    assert health.json["status"] == "degraded"
    assert client.get("/readyz").status_code == 200


@pytest.mark.parametrize("path", [NOTIFICATIONS, f"{NOTIFICATIONS}/1", WEBHOOKS])
def test_an_unknown_query_parameter_is_refused(
    client: FlaskClient, john: Headers, path: str
) -> None:
    response = client.get(f"{path}?userId=8", headers=john)

    assert (response.status_code, fields_of(response)) == (422, ["userId"])


def test_personal_data_is_not_stored_by_caches(sender: Sender, john: Headers) -> None:
    path = f"{NOTIFICATIONS}/{sender.send(WELCOME)['notificationId']}"

    def cache_control(path: str) -> str:
        return sender.client.get(path, headers=john).headers["Cache-Control"]

    for url in (NOTIFICATIONS, f"{path}/status", f"{path}/attempts", WEBHOOKS):
        assert cache_control(url) == "no-store"
    assert cache_control(path) == "private, no-cache"  # conditional


def test_migrations_can_run_again_and_match_the_models(migrated_url: str) -> None:
    migrate(migrated_url, MIGRATIONS)

    check(migrated_url, MIGRATIONS)


def test_examples_of_the_readme_run(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("REDIS_URL", redis_server.url)
    monkeypatch.chdir(tmp_path)

    run_examples(README)


def test_every_variable_is_in_the_readme_and_in_the_example_file() -> None:
    readme = README.read_text("utf-8")
    example = (SERVICE / ".env.example").read_text("utf-8")

    for settings in (NotificationSettings, WorkerSettings, QueueSettings):
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


def test_summaries_of_the_api_are_whole_sentences(client: FlaskClient) -> None:
    document = client.get("/openapi.json").json
    assert document is not None

    summaries = {
        f"{method} {path}": operation["summary"]
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }

    assert summaries[f"post {API}/notifications"] == "Send a notification"
    assert all(re.fullmatch(r"[A-Z][^.]+", summary) for summary in summaries.values())
    assert "POST /notifications" in document["info"]["description"]
