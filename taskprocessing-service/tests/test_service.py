"""What the service answers, and its README."""

from pathlib import Path

import pytest
from flask.testing import FlaskClient

from app import create_app
from common.pyportal_common.embedded import RedisServer
from common.pyportal_common.testing import run_examples


@pytest.fixture
def client(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> FlaskClient:
    monkeypatch.setenv("REDIS_URL", redis_server.url)
    monkeypatch.chdir(tmp_path)
    return create_app().test_client()


def test_all_is_well(client: FlaskClient) -> None:
    assert client.get("/livez").status_code == 200
    assert client.get("/readyz").status_code == 200
    assert client.get("/health").json == {
        "service": "taskprocessing",
        "status": "ok",
        "checks": {"redis": "ok", "database": "ok"},
    }


def test_an_unknown_path_is_a_404_in_the_common_form(client: FlaskClient) -> None:
    answer = client.get("/api/v1/airliner/nothing")

    assert answer.status_code == 404
    assert answer.json is not None
    assert answer.json["error"] == "Not Found"
    assert answer.json["request_id"] == answer.headers["X-Request-ID"]


def test_the_examples_of_its_readme_run(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("REDIS_URL", redis_server.url)
    monkeypatch.chdir(tmp_path)

    run_examples(Path(__file__).parent.parent / "README.md")
