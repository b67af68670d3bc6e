"""Problem tables and error bodies."""

import json
from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient

from common.pyportal_common.cache_handlers import Charge, Limiter, RateLimit, RedisClient
from common.pyportal_common.web import Detail, Problem, ProblemTable, RateLimitExceeded

PROBLEM_JSON = {"Accept": "application/problem+json"}

Raising = Callable[[Callable[[], object]], FlaskClient]


class NameTaken(Exception):
    pass


class NamesTaken(NameTaken):
    pass


class Gone(Exception):
    pass


class Unlisted(Exception):
    pass


PROBLEMS: ProblemTable = {
    NameTaken: lambda error: Problem(409, "Taken", [Detail(str(error), "Already taken")]),
    Gone: Problem(410, "Gone for good", headers={"X-Reason": "age"}),
}


@pytest.fixture
def raising(make_service: Callable[..., Flask]) -> Raising:
    """A client of a route at /x that raises what the function returns or raises."""

    def client(make_error: Callable[[], object]) -> FlaskClient:
        app = make_service(problems=PROBLEMS)

        @app.get("/x")
        def view() -> str:
            error = make_error()
            assert isinstance(error, Exception)
            raise error

        return app.test_client()

    return client


class TestTable:
    def test_a_constant_problem_is_the_response(self, raising: Raising) -> None:
        response = raising(Gone).get("/x", headers={"X-Request-ID": "r1"})

        assert (response.status_code, response.headers["X-Reason"]) == (410, "age")
        assert response.json == {"error": "Gone for good", "details": [], "request_id": "r1"}

    @pytest.mark.parametrize("error", [NameTaken, NamesTaken])
    def test_a_function_makes_the_problem_also_for_subclasses(
        self, raising: Raising, error: type[Exception]
    ) -> None:
        response = raising(lambda: error("email")).get("/x")

        assert response.status_code == 409
        assert response.json is not None
        assert response.json["details"] == [{"field": "email", "message": "Already taken"}]

    def test_an_error_that_is_not_in_it_is_a_500_without_its_text(self, raising: Raising) -> None:
        response = raising(lambda: Unlisted("secret")).get("/x")

        assert response.status_code == 500
        assert "secret" not in response.text

    def test_rfc_9457_on_request(self, raising: Raising) -> None:
        response = raising(lambda: NameTaken("email")).get(
            "/x", headers=PROBLEM_JSON | {"X-Request-ID": "r1"}
        )

        assert response.mimetype == "application/problem+json"
        assert response.json == {
            "type": "about:blank",
            "title": "Conflict",
            "status": 409,
            "detail": "Taken",
            "errors": [{"field": "email", "message": "Already taken"}],
            "request_id": "r1",
        }


class TestRateLimitExceeded:
    @pytest.fixture
    def client(self, raising: Raising, redis_client: RedisClient) -> FlaskClient:
        charge = Charge(RateLimit("names", 1, 60), "an-address")
        limiter = Limiter(redis_client)
        limiter.hit(charge)
        return raising(lambda: RateLimitExceeded(limiter.hit(charge), "This name is locked"))

    @pytest.mark.parametrize(
        ("headers", "field"), [({}, "error"), (PROBLEM_JSON, "detail")], ids=["plain", "problem"]
    )
    def test_it_has_the_limits_headers_and_its_text_and_the_wait_as_body(
        self, client: FlaskClient, headers: dict[str, str], field: str
    ) -> None:
        response = client.get("/x", headers=headers)

        assert response.status_code == 429
        assert 59 <= int(response.headers["Retry-After"]) <= 60
        assert response.headers["X-RateLimit-Limit"] == "1"
        assert response.headers["X-RateLimit-Remaining"] == "0"
        assert 59 <= int(response.headers["X-RateLimit-Reset"]) <= 60
        body = json.loads(response.text)
        assert body[field] == "This name is locked"
        assert body["retry_after"] == int(response.headers["Retry-After"])
        if not headers:
            assert body.keys() == {"error", "retry_after"}
