"""The OpenAPI documents of the services as one."""

from typing import Any

import pytest

from local.openapi import Collision, merge

REFERENCE = {"$ref": "#/components/schemas/Thing"}


def document(*paths: str, operation_id: str = "", **schemas: Any) -> dict[str, Any]:
    """A document of GET routes, each of which refers to the schema Thing and has its own tag."""
    content = {"application/json": {"schema": REFERENCE}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "A service", "version": "1"},
        "servers": [{"url": "/"}],
        "tags": [{"name": path} for path in paths],
        "paths": {
            path: {
                "get": {
                    "operationId": operation_id or path,
                    "tags": [path],
                    "responses": {"200": {"description": "OK", "content": content}},
                }
            }
            for path in paths
        },
        "webhooks": {},
        "components": {
            "schemas": {"Thing": {"type": "object"}, **schemas},
            "headers": {},
            "responses": {},
            "securitySchemes": {"session": {"type": "http", "scheme": "bearer"}},
        },
    }


def test_it_has_the_paths_that_only_one_service_has() -> None:
    merged = merge([document("/health", "/users"), document("/health", "/tasks")])

    assert list(merged["paths"]) == ["/users", "/tasks"]
    assert merged["tags"] == [{"name": "/users"}, {"name": "/tasks"}]
    assert merged["servers"] == [{"url": "/"}]


def test_it_has_the_components_that_these_refer_to() -> None:
    nested = {"type": "array", "items": {"$ref": "#/components/schemas/Detail"}}
    schemas: dict[str, Any] = {
        "Thing": nested,
        "Detail": {"type": "string"},
        "Unused": {"type": "string"},
    }

    merged = merge([document("/health", "/users", **schemas), document("/health")])

    assert list(merged["components"]["schemas"]) == ["Detail", "Thing"]


def test_a_schema_that_nothing_refers_to_may_differ() -> None:
    merge([document("/a", Other={"type": "string"}), document("/b", Other={"type": "integer"})])


def test_one_schema_with_two_meanings_is_refused() -> None:
    with pytest.raises(Collision, match="Thing"):
        merge([document("/users"), document("/tasks", Thing={"type": "string"})])


def test_one_operation_id_of_two_services_is_refused() -> None:
    with pytest.raises(Collision, match="list"):
        merge([document("/users", operation_id="list"), document("/tasks", operation_id="list")])


def test_one_tag_of_two_services_is_refused() -> None:
    other = document("/tasks")
    other["tags"] = [{"name": "/users"}]
    other["paths"]["/tasks"]["get"]["tags"] = ["/users"]

    with pytest.raises(Collision, match="/users"):
        merge([document("/users"), other])
