"""What every service gets from `create_service`: description, documentation, caching, queries."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, Response
from flask.testing import FlaskClient

from common.pyportal_common.settings import ServiceSettings
from common.pyportal_common.web import (
    CommonProblem,
    Page,
    Problem,
    Schema,
    View,
    body,
    conditional,
    query,
    respond,
    responses,
)


class Thing(View):
    thing_id: int


class NewThing(Schema):
    name: str


class Filter(Schema):
    name: str = ""


@pytest.fixture
def app(make_service: Callable[..., Flask]) -> Flask:
    app = make_service(ServiceSettings.load(), title="Things", introduction="Start with **POST**.")

    @app.get("/things/<id:thing_id>")
    @responses(Thing, problems=[404])
    def show(thing_id: int) -> Response:
        """Show a thing, in a sentence
        of two lines.

        And more about it.
        """
        if thing_id == 404:
            raise Problem(CommonProblem.NOT_FOUND)
        return respond(Thing(thing_id=thing_id))

    @app.get("/things")
    @responses(Page[Thing])
    @query(Filter)
    def search(query: Filter) -> Response:
        """Search things."""
        return respond(Page[Thing](items=[Thing(thing_id=len(query.name))]))

    @app.post("/things")
    @responses(Thing, status=201)
    @body(NewThing)
    def make(body: NewThing) -> Response:
        """Make a thing."""
        headers = {"Cache-Control": "max-age=60"}
        return respond(Thing(thing_id=len(body.name)), 201, headers)

    @app.get("/current")
    @conditional
    @responses(Thing)
    def current() -> Response:
        """Show the current thing."""
        return respond(Thing(thing_id=1))

    @app.get("/undeclared")
    def undeclared() -> str:
        return "not part of the API"

    return app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def document(client: FlaskClient) -> Any:
    return client.get("/openapi.json").json


def test_the_root_describes_the_service(client: FlaskClient) -> None:
    described = client.get("/").json

    assert described is not None
    assert re.fullmatch(r"\d+\.\d+\.\d+", described.pop("version"))
    assert described == {
        "service": "test",
        "title": "Things",
        "docs": "/docs",
        "openapi": "/openapi.json",
        "health": "/health",
    }
    for path in (described["docs"], described["openapi"], described["health"]):
        assert client.get(path).status_code == 200


def test_docs_have_the_services_title_and_introduction(client: FlaskClient, document: Any) -> None:
    assert "<title>Things API</title>" in client.get("/docs").text
    assert document["info"]["title"] == "Things"
    assert document["info"]["description"] == "Start with **POST**."


class TestOpenApi:
    def test_every_summary_is_one_sentence_and_every_operation_lists_422(
        self, document: Any
    ) -> None:
        operations = [found for path in document["paths"].values() for found in path.values()]

        assert len(operations) == 8
        for operation in operations:
            assert re.fullmatch(r"[A-Z][^.\n]{5,120}", operation["summary"])
            assert "422" in operation["responses"]

    def test_the_first_paragraph_is_the_summary_and_the_rest_the_description(
        self, document: Any
    ) -> None:
        operation = document["paths"]["/things/{thing_id}"]["get"]

        assert operation["summary"] == "Show a thing, in a sentence of two lines"
        assert operation["description"] == "And more about it."

    def test_a_schema_has_no_title_beside_its_name(self, document: Any) -> None:
        assert [
            name for name, each in document["components"]["schemas"].items() if "title" in each
        ] == []

    def test_a_body_may_be_one_of_several_models(self, make_service: Callable[..., Flask]) -> None:
        class NewRow(Schema):
            row: int

        class NewColumn(Schema):
            column: int

        class NewPart(Schema):
            """A row or a column."""

            described_as = (NewRow, NewColumn)
            row: int | None = None
            column: int | None = None

        app = make_service(title="Things")

        @app.post("/parts")
        @responses(Thing)
        @body(NewPart)
        def make(body: NewPart) -> Response:
            """Make a part."""
            return respond(Thing(thing_id=body.row or body.column or 0))

        client = app.test_client()
        schemas = (client.get("/openapi.json").json or {})["components"]["schemas"]

        assert schemas["NewPart"] == {
            "description": "A row or a column.",
            "oneOf": [{"$ref": f"#/components/schemas/{name}"} for name in ("NewRow", "NewColumn")],
        }
        assert schemas["NewRow"]["required"] == ["row"]
        assert client.post("/parts", json={"column": 7}).json == {"thingId": 7}

    def test_routes_that_declare_no_response_are_not_in_it(self, document: Any) -> None:
        assert "/undeclared" not in document["paths"]


class TestCacheControl:
    @pytest.mark.parametrize("path", ["/things/1", "/things/404", "/things/1?x=1", "/", "/health"])
    def test_responses_and_errors_of_the_api_are_not_stored(
        self, client: FlaskClient, path: str
    ) -> None:
        assert client.get(path).headers["Cache-Control"] == "no-store"

    @pytest.mark.parametrize(
        ("path", "value"),
        [
            ("/current", "private, no-cache"),
            ("/docs", "no-cache"),
            ("/docs/page.js", "no-cache"),
            ("/openapi.json", "no-cache"),
            ("/undeclared", None),
        ],
    )
    def test_other_values_are_kept(self, client: FlaskClient, path: str, value: str | None) -> None:
        assert client.get(path).headers.get("Cache-Control") == value

    def test_a_route_can_set_another_value(self, client: FlaskClient) -> None:
        response = client.post("/things", json={"name": "a"})

        assert response.headers["Cache-Control"] == "max-age=60"


class TestSecurityHeaders:
    @pytest.mark.parametrize(
        "path", ["/things/1", "/things/404", "/nowhere", "/livez", "/metrics", "/openapi.json"]
    )
    def test_a_browser_runs_shows_and_reveals_nothing_of_a_response(
        self, client: FlaskClient, path: str
    ) -> None:
        headers = client.get(path).headers

        policy = headers["Content-Security-Policy"].split("; ")
        assert {"default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"} <= {*policy}
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert "Strict-Transport-Security" not in headers

    def test_a_browser_keeps_to_tls_for_a_year_if_the_address_is_https(
        self, make_service: Callable[..., Flask]
    ) -> None:
        settings = ServiceSettings.load(public_url="https://portal.example.com")
        client = make_service(settings).test_client()

        for path in ("/livez", "/nowhere"):
            value = client.get(path).headers["Strict-Transport-Security"]
            assert value == "max-age=31536000; includeSubDomains"


class TestQueries:
    @pytest.mark.parametrize("path", ["/things/1", "/current", "/", "/livez"])
    def test_a_route_without_parameters_refuses_each(self, client: FlaskClient, path: str) -> None:
        response = client.get(f"{path}?userId=1&limit=2&limit=3&{'x' * 200}=1")

        assert response.status_code == 422
        assert response.json is not None
        assert response.json["details"] == [
            {"field": "userId", "message": "Unknown parameter"},
            {"field": "limit", "message": "Unknown parameter"},
            {"field": "x" * 100, "message": "Unknown parameter"},
        ]

    def test_that_is_so_for_writes_too_and_comes_before_their_body(
        self, client: FlaskClient
    ) -> None:
        response = client.post("/things?dryRun=1", data=b"{")

        assert response.status_code == 422

    def test_a_route_with_parameters_refuses_only_others(self, client: FlaskClient) -> None:
        assert client.get("/things?name=abc").json == {"items": [{"thingId": 3}], "next": None}

        refused = client.get("/things?name=a&other=1")

        assert refused.status_code == 422
        assert refused.json is not None
        assert refused.json["details"] == [{"field": "other", "message": "Unknown parameter"}]

    @pytest.mark.parametrize("path", ["/docs?x=1", "/metrics?x=1", "/openapi.json?x=1"])
    def test_pages_outside_the_api_ignore_them(self, client: FlaskClient, path: str) -> None:
        assert client.get(path).status_code == 200
