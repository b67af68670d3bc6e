"""Problem tables and error bodies."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask, abort
from flask.testing import FlaskClient
from werkzeug.exceptions import default_exceptions

from common.pyportal_common.cache_handlers import Charge, Limiter, RateLimit, RedisClient
from common.pyportal_common.testing.problem_tables import documented, rows_of
from common.pyportal_common.web import (
    CommonProblem,
    Detail,
    Problem,
    ProblemTable,
    ProblemType,
    RateLimitExceeded,
)

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


class NameProblem(ProblemType):
    TAKEN = (409, "Taken", "Choose another name.")
    GONE_FOR_GOOD = (410, "Gone for good", "It was deleted.")
    NAME_LOCKED = (429, "This name is locked", "Wait.")


PROBLEMS: ProblemTable = {
    NameTaken: lambda error: Problem(NameProblem.TAKEN, [Detail(str(error), "Already taken")]),
    Gone: Problem(NameProblem.GONE_FOR_GOOD, headers={"X-Reason": "age"}),
}


@pytest.fixture
def raising(make_service: Callable[..., Flask]) -> Raising:
    """A client of a route at /x that raises what the function returns or raises."""

    def client(make_error: Callable[[], object]) -> FlaskClient:
        app = make_service(problems=PROBLEMS, problem_types=NameProblem)

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
        assert response.json == {
            "error": "Gone for good",
            "code": "gone-for-good",
            "details": [],
            "request_id": "r1",
        }

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
            "type": "/problems/taken",
            "code": "taken",
            "title": "Conflict",
            "status": 409,
            "detail": "Taken",
            "errors": [{"field": "email", "message": "Already taken"}],
            "request_id": "r1",
        }


class TestPages:
    @pytest.fixture
    def client(self, make_service: Callable[..., Flask]) -> FlaskClient:
        return make_service(problems=PROBLEMS, problem_types=NameProblem).test_client()

    def test_the_type_of_an_error_leads_to_its_page(self, client: FlaskClient) -> None:
        error = json.loads(client.get("/nowhere", headers=PROBLEM_JSON).text)

        page = client.get(error["type"])

        assert (page.status_code, page.mimetype) == (200, "text/html")
        assert CommonProblem.NOT_FOUND.meaning in page.text
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]

    def test_one_page_lists_all_by_status(self, client: FlaskClient) -> None:
        codes = re.findall("<code>(.+?)</code>", client.get("/problems").text)

        assert {"taken", "gone-for-good", "validation-failed"} < set(codes)
        assert codes.index("bad-request") < codes.index("taken") < codes.index("unavailable")
        assert client.get("/problems/page.css").mimetype == "text/css"

    @pytest.mark.parametrize("code", ["unknown", "<script>", "NOT_FOUND", "..", "page.js"])
    def test_there_is_none_for_other_codes(self, client: FlaskClient, code: str) -> None:
        response = client.get(f"/problems/{code}")

        assert response.status_code == 404
        assert "<script>" not in response.text

    def test_the_documentation_lists_those_of_all_services(self) -> None:
        page = Path(__file__).parents[2] / "docs" / "errors.md"

        assert documented(page, "All services") == rows_of(CommonProblem)


@pytest.mark.parametrize("status", sorted({*default_exceptions} - {301, 302}))
def test_every_error_of_werkzeug_keeps_its_status_and_has_a_code(
    make_service: Callable[..., Flask], status: int
) -> None:
    app = make_service()
    app.add_url_rule("/x", view_func=lambda: abort(status))

    response = app.test_client().get("/x")

    assert response.status_code == status
    code = json.loads(response.text)["code"]
    assert code in {kind.code for kind in CommonProblem if kind.status // 100 == status // 100}


class TestRateLimitExceeded:
    @pytest.fixture
    def client(self, raising: Raising, redis_client: RedisClient) -> FlaskClient:
        charge = Charge(RateLimit("names", 1, 60), "an-address")
        limiter = Limiter(redis_client)
        limiter.hit(charge)
        return raising(lambda: RateLimitExceeded(limiter.hit(charge), NameProblem.NAME_LOCKED))

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
            assert body.keys() == {"error", "code", "retry_after"}
