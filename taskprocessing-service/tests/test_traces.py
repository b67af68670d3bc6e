"""Traces: from the request through the task to the message to Notification."""

import json
from collections.abc import Callable, Iterator

import pytest
from flask import Flask

from common.pyportal_common.testing.kit import deliver_messages
from common.pyportal_common.testing.raw_servers import Conversation, RawServer
from common.pyportal_common.testing.recorded_spans import (
    RecordedSpans,
    is_child,
    recorded_spans,
    trace_of,
    traceparent_of,
)

from .conftest import Headers, Json, MakeApp, Portal, booking

POST = "POST /api/v1/airliner/tasks"


@pytest.fixture
def items() -> list[Json]:
    """What Notification has received in batches."""
    return []


@pytest.fixture
def heads() -> list[str]:
    """The heads of the requests that Notification has received."""
    return []


@pytest.fixture
def app(
    make_app: MakeApp,
    serve: Callable[..., RawServer],
    items: list[Json],
    heads: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Flask:
    """The service, with a Notification that accepts everything."""

    def talk(client: Conversation) -> None:
        head, _, body = client.hear().decode().partition("\r\n\r\n")
        heads.append(head)
        received = json.loads(body).get("items", [])
        items.extend(received)
        answer = json.dumps({"items": [{"status": 202}] * len(received)})
        client.say(f"HTTP/1.1 200 OK\r\nContent-Length: {len(answer)}\r\n\r\n{answer}".encode())

    monkeypatch.setenv("NOTIFICATION_URL", serve(talk).url.rstrip("/"))
    return make_app()


@pytest.fixture
def recorded(app: Flask) -> Iterator[RecordedSpans]:  # noqa: ARG001  its start is not traced
    with recorded_spans() as found:
        yield found


def test_one_trace_leads_from_the_request_to_the_message(
    portal: Portal, john: Headers, flight: Json, recorded: RecordedSpans, heads: list[str]
) -> None:
    portal.create(john, booking(flight))
    portal.run_tasks()
    deliver_messages(portal.services.outbox)

    request, attempt = recorded.one(POST), recorded.one("attempt tasks")
    delivery = recorded.one("delivery")
    assert is_child(attempt, request)
    assert is_child(delivery, request)
    assert f"traceparent: {traceparent_of(delivery)}" in heads[0].split("\r\n")
    names = {span.name for span in recorded.all() if trace_of(span) == trace_of(request)}
    assert names >= {"admission", "cache.fence", "cache.unfence"}


def test_messages_of_tasks_that_end_together_keep_their_own_traces(
    portal: Portal, john: Headers, flight: Json, recorded: RecordedSpans, items: list[Json]
) -> None:
    for _ in range(3):
        portal.create(john, booking(flight))
    portal.run_tasks()
    deliver_messages(portal.services.outbox)

    requests = [trace_of(span) for span in recorded.named(POST)]
    assert [item["traceparent"].split("-")[1] for item in items] == requests
    assert len(set(requests)) == 3


def test_without_traces_nothing_is_sent(
    portal: Portal, john: Headers, flight: Json, items: list[Json], heads: list[str]
) -> None:
    for _ in range(2):
        portal.create(john, booking(flight))
    portal.run_tasks()
    deliver_messages(portal.services.outbox)

    assert len(items) == 2
    assert not any("traceparent" in item for item in items)
    assert not any("traceparent" in head for head in heads)
