"""The OpenAPI document: what clients and receivers of webhooks learn from it."""

import json
import re
from typing import Any

import pytest
from flask.testing import FlaskClient

from app.events.catalogue import EVENT_TYPES
from app.problems import NotificationProblem
from common.pyportal_common.testing.kit import API, json_of

from .conftest import Headers
from .sender import WEBHOOKS, Sender


@pytest.fixture
def document(client: FlaskClient) -> dict[str, Any]:
    found: dict[str, Any] = json_of(client.get("/openapi.json"))
    return found


def operation_of(document: dict[str, Any], method: str, path: str) -> dict[str, Any]:
    """The description of a route."""
    found: dict[str, Any] = document["paths"][f"{API}{path}"][method]
    return found


def test_catalogue_is_in_openapi_and_its_examples_are_valid(document: dict[str, Any]) -> None:
    assert document["webhooks"].keys() == EVENT_TYPES.keys()
    for name, described in document["webhooks"].items():
        content = described["post"]["requestBody"]["content"]["application/json"]
        assert content["example"]["type"] == name
        EVENT_TYPES[name].data.model_validate_json(json.dumps(content["example"]["data"]))


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_payloads_are_open_and_describe_every_field(
    document: dict[str, Any], event_type: str
) -> None:
    content = document["webhooks"][event_type]["post"]["requestBody"]["content"]
    payload = content["application/json"]["schema"]
    example = content["application/json"]["example"]
    data = payload["properties"]["data"]

    assert payload["properties"]["type"]["const"] == event_type
    for schema, shown in ((payload, example), (data, example["data"])):
        assert set(schema["required"]) == schema["properties"].keys() == shown.keys()
        assert schema.get("additionalProperties", True) is True
        for name, field in schema["properties"].items():
            assert field["description"].endswith("."), name
    assert '"title"' not in json.dumps(payload)


def test_both_values_of_unread_are_described(document: dict[str, Any]) -> None:
    listed = operation_of(document, "get", "/notifications")

    [unread] = (each for each in listed["parameters"] if each["name"] == "unread")
    assert "`true`" in unread["description"]
    assert "`false`" in unread["description"]
    assert "`unread=false`" in listed["description"]


def test_key_of_an_event_is_described(document: dict[str, Any]) -> None:
    published = operation_of(document, "post", "/events")

    [key] = published["parameters"]
    assert (key["name"], key["in"], key["required"]) == ("Idempotency-Key", "header", False)
    assert "Idempotency-Replayed" not in published["responses"]["202"]["headers"]


def test_every_conflict_has_its_codes_in_the_description(document: dict[str, Any]) -> None:
    conflicts = {each.code for each in NotificationProblem if each.status == 409}

    described = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            named = set(re.findall(r"`([a-z-]+)`", operation.get("description", "")))
            if "409" in operation["responses"] and path != f"{API}/notifications":
                described[method, path.removeprefix(API)] = named & conflicts

    assert all(described.values()), described
    assert set.union(*described.values()) == conflicts
    assert described["post", "/webhooks"] == {"webhook-already-exists", "too-many-webhooks"}


def test_new_webhook_is_at_its_location(
    sender: Sender, john: Headers, document: dict[str, Any]
) -> None:
    created = sender.client.post(WEBHOOKS, json={"url": "https://example.com/"}, headers=john)

    found = sender.client.get(created.headers["Location"], headers=john)
    shown = json_of(created)["webhook"]
    del shown["secret"]
    assert json_of(found)["webhook"] == shown
    assert "Location" in operation_of(document, "post", "/webhooks")["responses"]["201"]["headers"]
