"""`@conditional`, on routes made for these tests."""

from pathlib import Path

import pytest
from flask import Response, jsonify
from flask.testing import FlaskClient

from common.pyportal_common.cache_handlers import RedisClient
from common.pyportal_common.settings import ServiceSettings
from common.pyportal_common.web import Problem, conditional, create_service, responses


@pytest.fixture
def client(
    redis_client: RedisClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> FlaskClient:
    monkeypatch.chdir(tmp_path)
    app = create_service("test", ServiceSettings.load(), title="Test", redis_client=redis_client)

    @app.get("/things/<int:number>")
    @conditional
    @responses(status=200, problems=[404])
    def show(number: int) -> Response:
        if number == 0:
            raise Problem(404, "Not Found")
        return jsonify(number=number)

    return app.test_client()


def test_who_has_the_newest_answer_gets_a_304_without_it(client: FlaskClient) -> None:
    first = client.get("/things/1")
    tag = first.headers["ETag"]

    again = client.get("/things/1", headers={"If-None-Match": tag})

    assert (first.status_code, again.status_code) == (200, 304)
    assert again.data == b""
    assert again.headers["ETag"] == tag
    assert again.headers["X-Request-ID"]


@pytest.mark.parametrize("tag", ['"other"', "garbage", "", "\x00", '"' * 1000, "W/"])
def test_who_has_another_gets_the_answer(client: FlaskClient, tag: str) -> None:
    answer = client.get("/things/1", environ_overrides={"HTTP_IF_NONE_MATCH": tag})

    assert (answer.status_code, answer.json) == (200, {"number": 1})


def test_another_answer_has_another_tag_and_may_not_be_shared(client: FlaskClient) -> None:
    one, two = client.get("/things/1"), client.get("/things/2")

    assert one.headers["ETag"] != two.headers["ETag"]
    assert one.headers["Cache-Control"] == "private, no-cache"


def test_an_error_has_no_tag(client: FlaskClient) -> None:
    answer = client.get("/things/0", headers={"If-None-Match": "*"})

    assert answer.status_code == 404
    assert "ETag" not in answer.headers


def test_who_insists_on_another_state_gets_a_412(client: FlaskClient) -> None:
    answer = client.get("/things/1", headers={"If-Match": '"other"'})

    assert answer.status_code == 412
    assert answer.json is not None
    assert answer.json["error"] == "Precondition Failed"


def test_it_is_described(client: FlaskClient) -> None:
    document = client.get("/openapi.json").json
    assert document is not None
    operation = document["paths"]["/things/{number}"]["get"]

    assert "If-None-Match" in {parameter["name"] for parameter in operation["parameters"]}
    assert "content" not in operation["responses"]["304"]
    assert "ETag" in operation["responses"]["200"]["headers"]
