"""`@conditional`: ETags and 304s."""

from collections.abc import Callable

import pytest
from flask import Flask, Response, jsonify
from flask.testing import FlaskClient

from common.pyportal_common.web import CommonProblem, Problem, conditional, responses


@pytest.fixture
def client(make_service: Callable[..., Flask]) -> FlaskClient:
    app = make_service()

    @app.get("/things/<int:number>")
    @conditional
    @responses(status=200, problems=[404])
    def show(number: int) -> Response:
        if number == 0:
            raise Problem(CommonProblem.NOT_FOUND)
        return jsonify(number=number)

    return app.test_client()


def test_a_client_with_the_current_response_gets_a_304(client: FlaskClient) -> None:
    first = client.get("/things/1")
    tag = first.headers["ETag"]

    again = client.get("/things/1", headers={"If-None-Match": tag})

    assert (first.status_code, again.status_code) == (200, 304)
    assert again.data == b""
    assert again.headers["ETag"] == tag
    assert again.headers["X-Request-ID"]


@pytest.mark.parametrize("tag", ['"other"', "garbage", "", "\x00", '"' * 1000, "W/"])
def test_a_client_with_another_response_gets_the_current_one(client: FlaskClient, tag: str) -> None:
    response = client.get("/things/1", environ_overrides={"HTTP_IF_NONE_MATCH": tag})

    assert (response.status_code, response.json) == (200, {"number": 1})


def test_different_responses_have_different_tags_and_are_private(client: FlaskClient) -> None:
    one, two = client.get("/things/1"), client.get("/things/2")

    assert one.headers["ETag"] != two.headers["ETag"]
    assert one.headers["Cache-Control"] == "private, no-cache"


def test_an_error_has_no_tag(client: FlaskClient) -> None:
    response = client.get("/things/0", headers={"If-None-Match": "*"})

    assert response.status_code == 404
    assert "ETag" not in response.headers


def test_a_failed_precondition_is_a_412(client: FlaskClient) -> None:
    response = client.get("/things/1", headers={"If-Match": '"other"'})

    assert response.status_code == 412
    assert response.json is not None
    assert response.json["error"] == "Precondition Failed"


def test_openapi_describes_it(client: FlaskClient) -> None:
    document = client.get("/openapi.json").json
    assert document is not None
    operation = document["paths"]["/things/{number}"]["get"]

    assert "If-None-Match" in {parameter["name"] for parameter in operation["parameters"]}
    assert "content" not in operation["responses"]["304"]
    assert "ETag" in operation["responses"]["200"]["headers"]
