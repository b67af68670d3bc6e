"""Traces: from another service's request through the deliveries to webhooks and e-mails."""

import json
from collections.abc import Iterator

import pytest
from flask import Flask

from common.pyportal_common.testing.kit import json_of
from common.pyportal_common.testing.recorded_spans import (
    RecordedSpans,
    is_child,
    links_of,
    recorded_spans,
    trace_of,
    traceparent_of,
)

from .conftest import DONE, Headers, MakeApp, Serve, Users
from .endpoint import OK, Endpoint, response
from .sender import NOTIFICATIONS, SERVICE, WEBHOOKS, Sender, Shown

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
OTHER = "5bf92f3577b34da6a3ce929d0e0e4736"


def given(trace: str = TRACE) -> str:
    return f"00-{trace}-00f067aa0ba902b7-01"


@pytest.fixture
def endpoint(serve: Serve) -> Endpoint:
    endpoint = Endpoint()
    endpoint.url = f"{serve(endpoint.talk).url}hook"
    return endpoint


@pytest.fixture
def app(make_app: MakeApp, users: Users) -> Flask:  # noqa: ARG001  User Management runs
    """The service, whose webhooks may be on this machine."""
    return make_app(
        webhook_networks="127.0.0.0/8", webhook_secret="a-secret", delivery_backoff_seconds=3600
    )


@pytest.fixture
def webhook(sender: Sender, endpoint: Endpoint, john: Headers) -> Shown:
    """John's, for all events."""
    return sender.register(endpoint.url, john)


@pytest.fixture
def recorded(webhook: Shown) -> Iterator[RecordedSpans]:  # noqa: ARG001  not what is before
    with recorded_spans() as found:
        yield found


def post_batch(sender: Sender, *items: Shown) -> None:
    numbered = [
        {"idempotencyKey": f"key-{number}", "notification": DONE, **item}
        for number, item in enumerate(items)
    ]
    answered = sender.client.post(
        f"{NOTIFICATIONS}/batch", json={"items": numbered}, headers=SERVICE
    )
    assert [each["status"] for each in json_of(answered)["items"]] == [202] * len(items)


def traceparents(endpoint: Endpoint) -> list[str | None]:
    return [call.headers.get("traceparent") for call in endpoint.calls]


def json_types(endpoint: Endpoint) -> list[str]:
    return sorted(json.loads(call.body)["type"] for call in endpoint.calls)


def test_one_trace_leads_from_the_request_to_the_webhook_and_the_e_mail(
    sender: Sender, endpoint: Endpoint, recorded: RecordedSpans
) -> None:
    sender.send(DONE, SERVICE | {"traceparent": given()})
    sender.deliver_events()

    assert {trace_of(span) for span in recorded.all()} == {TRACE}
    request = recorded.one("POST /api/v1/airliner/notifications")
    (of_mail,) = recorded.named("attempt notifications")
    assert is_child(of_mail, request)
    events = recorded.named("attempt webhook-events")
    assert len(events) == 2  # the task is completed, and the booking confirmed
    assert all(is_child(event, request) for event in events)
    mail, *deliveries = recorded.named("delivery")
    assert is_child(mail, of_mail)
    assert traceparents(endpoint) == [traceparent_of(span) for span in deliveries]


def test_each_notification_of_a_batch_has_its_own_trace(
    sender: Sender, endpoint: Endpoint, recorded: RecordedSpans
) -> None:
    post_batch(sender, {"traceparent": given()}, {"traceparent": given(OTHER)})
    sender.deliver_events()
    sender.deliver()

    found = [str(text).split("-")[1] for text in traceparents(endpoint)]
    assert sorted(found) == [TRACE, TRACE, OTHER, OTHER]
    mails = [trace_of(span) for span in recorded.named("attempt notifications")]
    assert sorted(mails) == [TRACE, OTHER]


@pytest.mark.parametrize("odd", ["", "x", "0" * 55, None])
def test_an_odd_traceparent_in_a_batch_is_no_reason_to_refuse_it(
    sender: Sender, endpoint: Endpoint, recorded: RecordedSpans, odd: str | None
) -> None:
    post_batch(sender, {"traceparent": odd})
    sender.deliver_events()

    assert len(endpoint.calls) == 2
    assert all(span.parent is None for span in recorded.named("attempt webhook-events")) == bool(
        odd
    )


def test_a_retry_has_a_trace_of_its_own_that_links_to_the_first(
    sender: Sender, endpoint: Endpoint, recorded: RecordedSpans
) -> None:
    endpoint.responses = [response(503), response(503), OK]
    sender.accept(DONE, SERVICE | {"traceparent": given()})
    sender.deliver_events()
    sender.deliver_events()

    retries = [span for span in recorded.named("attempt webhook-events") if links_of(span)]
    assert len(retries) == 2
    assert all(links_of(span) == [TRACE] and trace_of(span) != TRACE for span in retries)
    *first, third, fourth = (str(text).split("-")[1] for text in traceparents(endpoint))
    assert first == [TRACE, TRACE]
    assert {third, fourth} == {trace_of(span) for span in retries}


@pytest.mark.parametrize("action", ["retry", "recover"])
def test_a_delivery_that_its_owner_retries_belongs_to_that_request(
    sender: Sender,
    endpoint: Endpoint,
    recorded: RecordedSpans,
    webhook: Shown,
    john: Headers,
    action: str,
) -> None:
    endpoint.responses = [response(410), OK]
    sender.accept(DONE, SERVICE | {"traceparent": given()})
    sender.deliver_events()
    path = f"{WEBHOOKS}/{webhook['webhookId']}"
    sender.client.patch(path, json={"enabled": True}, headers=john)
    shown = json_of(sender.client.get(f"{path}/deliveries", headers=john))["items"]
    failed = next(each for each in shown if each["status"] != "sent")
    if action == "retry":
        path = f"{path}/deliveries/{failed['deliveryId']}"
    retried = sender.client.post(f"{path}/{action}", json={}, headers=john)
    assert retried.status_code == 202, retried.text
    sender.deliver_events()

    request = next(span for span in recorded.all() if span.name.endswith(f"/{action}"))
    assert is_child(recorded.named("attempt webhook-events")[-1], request)


def test_the_event_of_a_failure_belongs_to_the_trace_of_the_notification(
    sender: Sender, endpoint: Endpoint, recorded: RecordedSpans
) -> None:
    own = {"channel": "webhook", "recipient": "http://10.0.0.1/"}
    sender.send(DONE | own, SERVICE | {"traceparent": given()})
    sender.deliver_events()

    assert json_types(endpoint) == ["booking.confirmed", "notification.failed", "task.completed"]
    assert [str(text).split("-")[1] for text in traceparents(endpoint)] == [TRACE] * 3
    assert {trace_of(span) for span in recorded.all()} == {TRACE}


def test_without_traces_webhooks_get_none(
    sender: Sender,
    endpoint: Endpoint,
    webhook: Shown,  # noqa: ARG001  is called
) -> None:
    sender.accept(DONE, SERVICE | {"traceparent": given()})
    sender.deliver_events()

    assert traceparents(endpoint) == [None, None]
