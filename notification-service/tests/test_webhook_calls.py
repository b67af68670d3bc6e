"""Webhook calls: what endpoints receive, and how their responses are interpreted."""

import base64
import itertools
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from common.pyportal_common.redis_server import free_port
from common.pyportal_common.testing.kit import json_of
from common.pyportal_common.testing.raw_servers import Conversation

from .conftest import WELCOME, Headers, MakeApp, Serve
from .endpoint import OK, Endpoint, HangingEndpoint, note_to, response
from .sender import NOTIFICATIONS, SERVICE, WEBHOOKS, Sender

WEBHOOK_SECRET = "a-secret-of-all-services"
KEY = b"24 bytes, as is usual .."
Notify = Callable[[str], dict[str, Any]]

LOCAL: dict[str, Any] = {"webhook_networks": "127.0.0.0/8", "delivery_backoff_seconds": 3600}


@pytest.fixture
def endpoint(serve: Serve) -> Endpoint:
    endpoint = Endpoint()
    endpoint.url = f"{serve(endpoint.talk).url}hook"
    return endpoint


@pytest.fixture
def sender(make_app: MakeApp) -> Sender:
    """A sender whose webhooks may be on this machine."""
    return Sender(make_app(**LOCAL))


@pytest.fixture
def secret(sender: Sender, endpoint: Endpoint, john: Headers) -> str:
    """The secret of the endpoint, which John has registered."""
    return str(sender.register(endpoint.url, john)["secret"])


@pytest.fixture
def notify(sender: Sender, john: Headers) -> Notify:
    """Registers a URL for John if it is not registered, and sends a notification to it."""

    def notify(url: str) -> dict[str, Any]:
        sender.client.post(WEBHOOKS, json={"url": url}, headers=john)
        return sender.send(note_to(url), john)

    return notify


class TestMessages:
    def test_a_message_arrives_signed(
        self, sender: Sender, endpoint: Endpoint, secret: str, notify: Notify
    ) -> None:
        sent = notify(endpoint.url)

        assert sender.status_of(sent) == ("sent", 1, None)
        (call,) = endpoint.calls
        call.check_signature(secret)
        assert call.headers["webhook-id"] == sent["messageId"]
        assert call.headers["content-type"] == "application/json"
        assert json.loads(call.body) == {
            "type": "message",
            "timestamp": sent["createdAt"].replace("Z", "+00:00"),
            "data": {"subject": "Admission", "message": "It is gate 7."},
        }
        (attempt,) = sender.attempts_of(sent)
        assert (attempt["outcome"], attempt["answer"]) == ("sent", "200")

    def test_a_template_arrives_as_its_data(
        self, sender: Sender, endpoint: Endpoint, secret: str
    ) -> None:
        sent = sender.send(WELCOME | {"channel": "webhook", "recipient": endpoint.url})

        assert sender.status_of(sent)[0] == "sent"
        (call,) = endpoint.calls
        call.check_signature(secret)
        message = json.loads(call.body)
        assert (message["type"], message["data"]) == ("welcome", WELCOME["data"])

    def test_every_attempt_has_the_same_id_and_a_new_signature(
        self, sender: Sender, endpoint: Endpoint, secret: str, notify: Notify
    ) -> None:
        endpoint.responses = [response(503), response(500), OK]

        sent = notify(endpoint.url)
        for _ in range(2):
            sender.deliver_later()

        assert sender.status_of(sent) == ("sent", 3, None)
        assert [call.headers["webhook-id"] for call in endpoint.calls] == [sent["messageId"]] * 3
        assert len({call.body for call in endpoint.calls}) == 1
        for call in endpoint.calls:
            call.check_signature(secret)

    def test_attempts_are_paged(
        self, sender: Sender, endpoint: Endpoint, john: Headers, notify: Notify
    ) -> None:
        endpoint.responses = [response(503), response(500), OK]
        sent = notify(endpoint.url)
        for _ in range(2):
            sender.deliver_later()
        path = f"{NOTIFICATIONS}/{sent['notificationId']}/attempts"

        first = sender.client.get(f"{path}?limit=2", headers=john)
        rest = json_of(sender.client.get(f"{path}?limit=2&cursor=2", headers=john))

        assert [each["answer"] for each in json_of(first)["items"]] == ["503 reason", "500 reason"]
        assert first.headers["Link"] == f'<{path}?limit=2&cursor=2>; rel="next"'
        assert [each["outcome"] for each in rest["items"]] == ["sent"]
        assert rest["next"] is None


class TestResponses:
    @pytest.mark.parametrize(
        ("statuses", "expected"),
        [
            ([200, 201, 202, 204, 299], "sent"),
            ([400, 401, 404, 410, 413, 422], "failed"),
            ([301, 302, 307, 308, 408, 425, 429, 500, 502, 503, 504], "queued"),
        ],
    )
    def test_2xx_is_success_most_4xx_are_permanent_and_all_others_are_retried(
        self, sender: Sender, endpoint: Endpoint, notify: Notify, statuses: list[int], expected: str
    ) -> None:
        for status in statuses:
            endpoint.responses = [response(status, body=b"" if expected == "sent" else b"reason")]

            sent = notify(endpoint.url)

            error = None if expected == "sent" else f"The endpoint answered {status}"
            assert sender.status_of(sent) == (expected, 1, error)
            answer = str(status) if expected == "sent" else f"{status} reason"
            assert sender.attempts_of(sent)[0]["answer"] == answer

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_a_redirect_is_not_followed(
        self, endpoint: Endpoint, serve: Serve, notify: Notify, status: int
    ) -> None:
        inside = Endpoint()
        endpoint.responses = [response(status, f"Location: {serve(inside.talk).url}")]

        notify(endpoint.url)

        assert len(endpoint.calls) == 1
        assert inside.calls == []

    def test_control_characters_in_a_response_are_not_shown(
        self, sender: Sender, endpoint: Endpoint, notify: Notify
    ) -> None:
        body = b"no\x00\x1b[31m \xff\r\nfurther" + b"x" * 1000
        endpoint.responses = [response(400, body=body)]

        (attempt,) = sender.attempts_of(notify(endpoint.url))

        assert attempt["outcome"] == "failed"
        assert attempt["answer"].startswith("400 no??[31m \ufffd further")
        assert attempt["answer"].isprintable()
        assert len(attempt["answer"]) <= 500


class TestRetryAfter:
    @pytest.mark.parametrize(
        ("header", "seconds", "tolerance"),
        [
            ("120", 120, 30),
            (lambda: datetime.now(UTC) + timedelta(seconds=180), 178, 32),
            ("999999999", 86400, 60),
            ("9" * 400, 86400, 60),
            ("Fri, 31 Dec 9999 23:59:59 GMT", 86400, 60),
            ("90000", 86400, 60),
            ("", 0, 1000),
            ("-5", 0, 1000),
            ("0", 0, 1000),
            ("soon", 0, 1000),
            ("1e9", 0, 1000),
            ("1.5", 0, 1000),
            ("\u00b2", 0, 1000),
            ("Mon, 01 Jan 1990 00:00:00 GMT", 0, 1000),
            ("32 Foo 99999", 0, 1000),
        ],
    )
    def test_seconds_and_dates_are_obeyed_up_to_a_day_and_all_else_is_ignored(
        self,
        make_app: MakeApp,
        endpoint: Endpoint,
        john: Headers,
        header: str | Callable[[], datetime],
        seconds: int,
        tolerance: int,
    ) -> None:
        # Without a usable header, the delay is that of the backoff: up to 15 minutes.
        backoff = 0.001 if seconds else 3600
        sender = Sender(make_app(**LOCAL | {"delivery_backoff_seconds": backoff}))
        sender.register(endpoint.url, john)
        text = header if isinstance(header, str) else format_datetime(header(), usegmt=True)
        endpoint.responses = [response(503, f"Retry-After: {text}", body=b"")]
        before = datetime.now(UTC)

        sent = sender.send(note_to(endpoint.url), john)

        assert sender.status_of(sent) == ("queued", 1, "The endpoint answered 503")
        delay = sender.due_at(sent) - before
        assert timedelta(seconds=seconds) <= delay < timedelta(seconds=seconds + tolerance)


class TestEndpoints:
    def test_a_slow_endpoint_is_given_up(
        self, make_app: MakeApp, serve: Serve, john: Headers
    ) -> None:
        def talk(client: Conversation) -> None:
            client.hear()
            client.say_slowly((bytes([byte]) for byte in itertools.cycle(OK)), every=0.1)

        sender = Sender(make_app(**LOCAL, delivery_timeout_seconds=0.5))
        url = serve(talk).url
        sender.register(url, john)

        sent = sender.send(note_to(url), john)

        reason = "The endpoint cannot be reached: no answer within 0.5 seconds"
        assert sender.status_of(sent) == ("queued", 1, reason)
        assert sender.seconds < 5

    def test_those_of_one_user_that_hang_hold_two_threads_of_the_worker(
        self, sender: Sender, serve: Serve, john: Headers
    ) -> None:
        hanging = HangingEndpoint()
        url = serve(hanging.talk).url
        sender.register(url, john)
        for _ in range(8):
            sender.accept(note_to(url), john)

        assert hanging.held_while(sender.deliver) == 2

    def test_a_long_response_is_cut_off(self, sender: Sender, serve: Serve, notify: Notify) -> None:
        def talk(client: Conversation) -> None:
            client.hear()
            client.say(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
            client.say_slowly(itertools.repeat(bytes(100_000)), every=0)

        assert sender.status_of(notify(serve(talk).url)) == ("sent", 1, None)

    @pytest.mark.parametrize(
        "host",
        [
            "127.0.0.1",
            "localhost",
            "[::1]",
            "10.0.0.1",
            "169.254.169.254",
            "0.0.0.0",
            "2130706433",
            "0x7f.1",
            "[::ffff:127.0.0.1]",
        ],
    )
    def test_a_private_address_is_not_called(
        self, make_app: MakeApp, serve: Serve, john: Headers, host: str
    ) -> None:
        server = serve(Endpoint().talk)
        sender = Sender(make_app())
        url = f"http://{host}:{server.port}/"
        sender.register(url, john)

        sent = sender.send(note_to(url), john)

        reason = f"{re.escape(host.strip('[]'))} is at an address that is not allowed: .*_NETWORKS"
        sender.check_status(sent, "failed", 1, reason)
        assert server.met == 0

    @pytest.mark.parametrize(
        "host", ["a{b}*", "a_b", "-", "%00", "xn--", "a" * 300, "*", "a,b;c", None]
    )
    def test_a_host_that_cannot_be_reached_is_retried(
        self, sender: Sender, notify: Notify, host: str | None
    ) -> None:
        url = f"http://{host}.invalid/" if host else f"http://127.0.0.1:{free_port()}/"

        sender.check_status(notify(url), "queued", 1, "The endpoint cannot be reached: ")


class TestPermissions:
    @pytest.mark.parametrize("secret", ["", WEBHOOK_SECRET])
    def test_a_deleted_webhook_is_not_called(
        self, make_app: MakeApp, endpoint: Endpoint, john: Headers, secret: str
    ) -> None:
        sender = Sender(make_app(**LOCAL, webhook_secret=secret))
        webhook_id = sender.register(endpoint.url, john)["webhookId"]
        accepted = sender.accept(note_to(endpoint.url), john)
        sender.client.delete(f"{WEBHOOKS}/{webhook_id}", headers=john)

        sender.deliver_later()

        expected = ("failed", 1, "The webhook is not registered any more")
        assert sender.status_of(accepted) == expected
        assert endpoint.calls == []

    def test_users_call_only_their_own_webhooks(
        self, sender: Sender, endpoint: Endpoint, secret: str, jane: Headers
    ) -> None:
        assert secret
        refused = sender.client.post(NOTIFICATIONS, json=note_to(endpoint.url), headers=jane)

        assert refused.status_code == 403
        assert endpoint.calls == []

    @pytest.mark.parametrize(
        ("secret", "key"),
        [
            (WEBHOOK_SECRET, WEBHOOK_SECRET.encode()),
            (f"whsec_{base64.b64encode(KEY).decode()}", KEY),
        ],
    )
    def test_with_webhook_secret_services_call_any_url(
        self, make_app: MakeApp, endpoint: Endpoint, secret: str, key: bytes
    ) -> None:
        sender = Sender(make_app(**LOCAL, webhook_secret=secret))

        sent = sender.send(note_to(endpoint.url))

        assert sender.status_of(sent) == ("sent", 1, None)
        (call,) = endpoint.calls
        call.check_signature(f"whsec_{base64.b64encode(key).decode()}")

    def test_without_webhook_secret_services_call_only_registered_urls(
        self, sender: Sender, endpoint: Endpoint, john: Headers
    ) -> None:
        to_john = note_to(endpoint.url) | {"userId": 7}

        refused = [
            sender.client.post(NOTIFICATIONS, json=body, headers=SERVICE).status_code
            for body in (note_to(endpoint.url), to_john)
        ]
        secret = sender.register(endpoint.url, john)["secret"]
        sent = sender.send(to_john)

        assert refused == [403, 403]
        assert sender.status_of(sent)[0] == "sent"
        endpoint.calls[0].check_signature(secret)
