"""Webhooks: who may register which, and what their endpoints get and say."""

import base64
import hashlib
import hmac
import itertools
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from common.pyportal_common.redis_server import free_port
from common.pyportal_common.settings import ConfigurationError
from common.pyportal_common.testing.raw_servers import Conversation, RawServer

from .conftest import NOTIFICATIONS, SERVICE, WEBHOOKS, WELCOME
from .deliveries import Deliveries

Headers = dict[str, str]
MakeApp = Callable[..., Flask]
Serve = Callable[..., RawServer]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
WEBHOOK_SECRET = "a-secret-of-all-services"
LOCAL = {"webhook_networks": "127.0.0.0/8", "delivery_backoff_seconds": 3600}


@dataclass
class Call:
    """What an endpoint got."""

    headers: dict[str, str]
    body: bytes


@dataclass
class Endpoint:
    """What a user's server says, in turn, and the last of it ever after."""

    answers: list[bytes] = field(default_factory=lambda: [OK])
    calls: list[Call] = field(default_factory=list)
    url: str = ""

    def talk(self, client: Conversation) -> None:
        """One conversation."""
        head, _, body = client.hear().partition(b"\r\n\r\n")
        pairs = [line.decode().split(": ", 1) for line in head.split(b"\r\n")[1:]]
        self.calls.append(Call({name.lower(): value for name, value in pairs}, body))
        client.say(self.answers[0] if len(self.answers) == 1 else self.answers.pop(0))


@pytest.fixture
def endpoint(serve: Serve) -> Endpoint:
    found = Endpoint()
    found.url = f"{serve(found.talk).url}hook"
    return found


@pytest.fixture
def service(make_app: MakeApp) -> Deliveries:
    """The service, which may call what is on this machine."""
    return Deliveries(make_app(**LOCAL))


def register(service: Deliveries, url: str, headers: Headers) -> dict[str, Any]:
    answer = service.app.test_client(use_cookies=False).post(
        WEBHOOKS, json={"url": url}, headers=headers
    )
    assert answer.status_code == 201, answer.text
    assert answer.json is not None
    found: dict[str, Any] = answer.json["webhook"]
    return found


def note_to(url: str) -> dict[str, Any]:
    return {
        "channel": "webhook",
        "recipient": url,
        "subject": "Admission",
        "message": "It is gate 7.",
    }


def answer_of(status: int, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} So", "Content-Length: 6", *headers, "", "reason"]
    return "\r\n".join(lines).encode()


def check_signature(call: Call, secret: str) -> None:
    """As the specification of Standard Webhooks has a receiver do it."""
    assert secret.startswith("whsec_")
    key = base64.b64decode(secret[len("whsec_") :])
    content = f"{call.headers['webhook-id']}.{call.headers['webhook-timestamp']}."
    expected = hmac.new(key, content.encode() + call.body, hashlib.sha256).digest()
    versions = [one.split(",", 1) for one in call.headers["webhook-signature"].split(" ")]
    assert ["v1", base64.b64encode(expected).decode()] in versions
    assert abs(time.time() - int(call.headers["webhook-timestamp"])) < 60


class TestRegistering:
    def test_the_secret_is_shown_once(self, client: FlaskClient, john: Headers) -> None:
        answer = client.post(WEBHOOKS, json={"url": "https://example.com/hook"}, headers=john)

        assert answer.status_code == 201
        assert answer.json is not None
        made = answer.json["webhook"]
        assert made["url"] == "https://example.com/hook"
        assert made["secret"].startswith("whsec_")
        assert len(base64.b64decode(made.pop("secret")[6:], validate=True)) == 24
        listed = client.get(WEBHOOKS, headers=john).json
        assert listed == {"items": [made], "next": None}

    def test_each_has_a_secret_of_its_own(self, service: Deliveries, john: Headers) -> None:
        urls = [f"https://example.com/{number}" for number in range(3)]

        assert len({register(service, url, john)["secret"] for url in urls}) == 3

    def test_it_can_be_removed(self, client: FlaskClient, john: Headers, jane: Headers) -> None:
        made = client.post(WEBHOOKS, json={"url": "https://example.com/"}, headers=john).json
        assert made is not None
        path = f"{WEBHOOKS}/{made['webhook']['webhookId']}"

        assert client.delete(path, headers=jane).status_code == 404
        assert client.delete(path).status_code == 401
        assert client.delete(path, headers=john).status_code == 204
        assert client.delete(path, headers=john).status_code == 404
        assert client.get(WEBHOOKS, headers=john).json == {"items": [], "next": None}

    def test_a_user_has_an_address_once(
        self, client: FlaskClient, john: Headers, jane: Headers
    ) -> None:
        body = {"url": "https://example.com/"}

        answers = [client.post(WEBHOOKS, json=body, headers=who) for who in (john, john, jane)]

        assert [answer.status_code for answer in answers] == [201, 409, 201]
        assert answers[1].json is not None
        assert answers[1].json["details"] == [{"field": "url", "message": "is taken"}]

    def test_a_user_has_at_most_twenty(
        self, make_app: MakeApp, client: FlaskClient, john: Headers, jane: Headers
    ) -> None:
        def add(number: int, headers: Headers = john) -> int:
            body = {"url": f"https://example.com/{number}"}
            with_app = apps[number % 2].test_client(use_cookies=False)
            return with_app.post(WEBHOOKS, json=body, headers=headers).status_code

        apps = [make_app(), make_app()]
        assert [add(number) for number in range(17)] == [201] * 17
        with ThreadPoolExecutor(8) as pool:
            statuses = list(pool.map(add, range(17, 25)))

        assert sorted(statuses) == [201] * 3 + [409] * 5
        listed = client.get(WEBHOOKS, headers=john).json
        assert listed is not None
        assert len(listed["items"]) == 20
        assert add(1, jane) == 201

    @pytest.mark.parametrize(
        "url",
        [
            "",
            " ",
            "example.com",
            "//example.com/",
            "ftp://example.com/",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "gopher://127.0.0.1:6379/_FLUSHALL",
            "http://",
            "http:///path",
            "http://?x",
            "http://:80/",
            "https://user@example.com/",
            "https://user:password@example.com/",
            "http://example.com\\@127.0.0.1/",
            "http://[::1",
            "http://example.com:99999/",
            "http://example.com:x/",
            "http://example.com/\r\nX-One: 1",
            "http://exa\tmple.com/",
            "http://example.com/a b",
            "http://example.com/\x00",
            "http://b\u00fccher.example/",
            "http://example.com/\u2028",
            f"http://example.com/{'a' * 2000}",
            None,
            7,
            ["https://example.com/"],
        ],
    )
    def test_what_is_no_address_is_refused_and_named(
        self, client: FlaskClient, john: Headers, url: Any
    ) -> None:
        answer = client.post(WEBHOOKS, json={"url": url}, headers=john)

        assert answer.status_code == 422
        assert answer.json is not None
        assert [detail["field"] for detail in answer.json["details"]] == ["url"]
        assert client.get(WEBHOOKS, headers=john).json == {"items": [], "next": None}

    def test_networks_have_to_be_networks(self, make_app: MakeApp) -> None:
        with pytest.raises(ConfigurationError, match="WEBHOOK_NETWORKS"):
            make_app(webhook_networks="10.0.0.0/8,everything")


class TestCalls:
    def test_a_note_arrives_signed(
        self, service: Deliveries, endpoint: Endpoint, john: Headers
    ) -> None:
        secret = register(service, endpoint.url, john)["secret"]

        made = service.send(note_to(endpoint.url), john)

        assert service.status_of(made) == ("sent", 1, None)
        (call,) = endpoint.calls
        check_signature(call, secret)
        assert call.headers["webhook-id"] == made["messageId"]
        assert call.headers["content-type"] == "application/json"
        assert json.loads(call.body) == {
            "type": "message",
            "timestamp": made["createdAt"].replace("Z", "+00:00"),
            "data": {"subject": "Admission", "message": "It is gate 7."},
        }
        (attempt,) = service.attempts_at(made)
        assert (attempt["outcome"], attempt["answer"]) == ("sent", "200")

    def test_a_template_arrives_as_its_data(
        self, service: Deliveries, endpoint: Endpoint, john: Headers
    ) -> None:
        secret = register(service, endpoint.url, john)["secret"]

        made = service.send(WELCOME | {"channel": "webhook", "recipient": endpoint.url})

        assert service.status_of(made)[0] == "sent"
        (call,) = endpoint.calls
        check_signature(call, secret)
        assert json.loads(call.body)["type"] == "welcome"
        assert json.loads(call.body)["data"] == WELCOME["data"]

    def test_another_attempt_has_the_same_id_and_a_signature_of_its_time(
        self, service: Deliveries, endpoint: Endpoint, john: Headers
    ) -> None:
        secret = register(service, endpoint.url, john)["secret"]
        endpoint.answers = [answer_of(503), answer_of(500), OK]

        made = service.send(note_to(endpoint.url), john)
        for _ in range(2):
            service.let_time_pass()

        assert service.status_of(made) == ("sent", 3, None)
        assert [call.headers["webhook-id"] for call in endpoint.calls] == [made["messageId"]] * 3
        assert len({call.body for call in endpoint.calls}) == 1
        for call in endpoint.calls:
            check_signature(call, secret)

    @pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
    def test_success_is_success(
        self, service: Deliveries, endpoint: Endpoint, john: Headers, status: int
    ) -> None:
        register(service, endpoint.url, john)
        endpoint.answers = [f"HTTP/1.1 {status} OK\r\nContent-Length: 0\r\n\r\n".encode()]

        assert service.status_of(service.send(note_to(endpoint.url), john))[0] == "sent"

    @pytest.mark.parametrize("status", [400, 401, 404, 410, 413, 422])
    def test_what_an_endpoint_refuses_has_failed(
        self, service: Deliveries, endpoint: Endpoint, john: Headers, status: int
    ) -> None:
        register(service, endpoint.url, john)
        endpoint.answers = [answer_of(status)]

        made = service.send(note_to(endpoint.url), john)

        assert service.status_of(made) == ("failed", 1, f"The endpoint answered {status}")
        assert service.attempts_at(made)[0]["answer"] == f"{status} reason"

    @pytest.mark.parametrize("status", [301, 302, 307, 308, 408, 425, 429, 500, 502, 503, 504])
    def test_what_may_pass_is_put_off(
        self, service: Deliveries, endpoint: Endpoint, john: Headers, status: int
    ) -> None:
        register(service, endpoint.url, john)
        endpoint.answers = [answer_of(status)]

        made = service.send(note_to(endpoint.url), john)

        assert service.status_of(made) == ("queued", 1, f"The endpoint answered {status}")

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_a_redirect_is_not_followed(
        self, make_app: MakeApp, serve: Serve, john: Headers, status: int
    ) -> None:
        inside, outside = Endpoint(), Endpoint()
        inside.url = serve(inside.talk).url
        outside.url = serve(outside.talk).url
        outside.answers = [answer_of(status, f"Location: {inside.url}")]
        service = Deliveries(make_app(**LOCAL))
        register(service, outside.url, john)

        service.send(note_to(outside.url), john)

        assert len(outside.calls) == 1
        assert inside.calls == []


class TestRetryAfter:
    @pytest.fixture
    def due_in(
        self, make_app: MakeApp, endpoint: Endpoint, john: Headers
    ) -> Callable[[str], timedelta]:
        """After how long another attempt is made when that is what the endpoint says."""
        service = Deliveries(make_app(**LOCAL | {"delivery_backoff_seconds": 0.001}))
        register(service, endpoint.url, john)

        def due_in(said: str) -> timedelta:
            endpoint.answers = [answer_of(503, f"Retry-After: {said}")]
            before = datetime.now(UTC)
            made = service.send(note_to(endpoint.url), john)
            assert service.status_of(made)[:2] == ("queued", 1)
            return service.due_at(made) - before

        return due_in

    def test_seconds_are_waited_for(self, due_in: Callable[[str], timedelta]) -> None:
        assert timedelta(seconds=120) <= due_in("120") < timedelta(seconds=150)

    def test_so_is_a_date(self, due_in: Callable[[str], timedelta]) -> None:
        date = format_datetime(datetime.now(UTC) + timedelta(seconds=180), usegmt=True)

        assert timedelta(seconds=178) <= due_in(date) < timedelta(seconds=210)

    @pytest.mark.parametrize(
        "said", ["999999999", "9" * 400, "Fri, 31 Dec 9999 23:59:59 GMT", "90000"]
    )
    def test_nobody_waits_longer_than_a_day(
        self, due_in: Callable[[str], timedelta], said: str
    ) -> None:
        assert timedelta(hours=24) <= due_in(said) < timedelta(hours=24, minutes=1)


@pytest.mark.parametrize(
    "said",
    [
        "",
        "-5",
        "0",
        "soon",
        "1e9",
        "1.5",
        "\u00b2",
        "Mon, 01 Jan 1990 00:00:00 GMT",
        "32 Foo 99999",
    ],
)
def test_a_retry_after_of_no_use_changes_nothing(
    service: Deliveries, endpoint: Endpoint, john: Headers, said: str
) -> None:
    register(service, endpoint.url, john)
    line = f"Retry-After: {said}\r\n".encode("latin-1")
    endpoint.answers = [b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n" + line + b"\r\n"]

    before = datetime.now(UTC)
    made = service.send(note_to(endpoint.url), john)

    assert service.status_of(made) == ("queued", 1, "The endpoint answered 503")
    assert before <= service.due_at(made) < before + timedelta(seconds=1000)


class TestEndpoints:
    def test_one_that_is_slow_is_given_up(
        self, make_app: MakeApp, serve: Serve, john: Headers
    ) -> None:
        def talk(client: Conversation) -> None:
            client.hear()
            client.say_slowly((bytes([byte]) for byte in itertools.cycle(OK)), every=0.1)

        service = Deliveries(make_app(**LOCAL, delivery_timeout_seconds=0.5))
        url = serve(talk).url
        register(service, url, john)

        made = service.send(note_to(url), john)

        reason = "The endpoint cannot be reached: no answer within 0.5 seconds"
        assert service.status_of(made) == ("queued", 1, reason)
        assert service.seconds < 5

    def test_one_that_says_too_much_is_cut_short(
        self, service: Deliveries, serve: Serve, john: Headers
    ) -> None:
        def talk(client: Conversation) -> None:
            client.hear()
            client.say(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
            client.say_slowly(itertools.repeat(bytes(100_000)), every=0)

        url = serve(talk).url
        register(service, url, john)

        assert service.status_of(service.send(note_to(url), john)) == ("sent", 1, None)

    def test_one_that_is_away_is_tried_again(self, service: Deliveries, john: Headers) -> None:
        url = f"http://127.0.0.1:{free_port()}/"
        register(service, url, john)

        status, attempts, error = service.status_of(service.send(note_to(url), john))

        assert (status, attempts) == ("queued", 1)
        assert str(error).startswith("The endpoint cannot be reached: ")

    def test_controls_in_an_answer_are_not_shown(
        self, service: Deliveries, endpoint: Endpoint, john: Headers
    ) -> None:
        register(service, endpoint.url, john)
        said = b"no\x00\x1b[31m \xff\r\nfurther" + b"x" * 1000
        head = f"HTTP/1.1 400 No\r\nContent-Length: {len(said)}\r\n\r\n".encode()
        endpoint.answers = [head + said]

        made = service.send(note_to(endpoint.url), john)

        (attempt,) = service.attempts_at(made)
        assert attempt["outcome"] == "failed"
        assert attempt["answer"].startswith("400 no??[31m \ufffd further")
        assert attempt["answer"].isprintable()
        assert len(attempt["answer"]) <= 500

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
        service = Deliveries(make_app())
        url = f"http://{host}:{server.port}/"
        register(service, url, john)

        made = service.send(note_to(url), john)

        reason = f"{host.strip('[]')} is at an address that is not allowed"
        assert service.status_of(made) == ("failed", 1, reason)
        assert server.met == 0

    @pytest.mark.parametrize("host", ["a{b}*", "a_b", "-", "%00", "xn--", "a" * 300, "*", "a,b;c"])
    def test_a_strange_host_has_a_reason(
        self, service: Deliveries, john: Headers, host: str
    ) -> None:
        url = f"http://{host}.invalid/"
        register(service, url, john)

        status, attempts, error = service.status_of(service.send(note_to(url), john))

        assert (status, attempts) == ("queued", 1)
        assert str(error).startswith("The endpoint cannot be reached: ")


class TestWhoMay:
    @pytest.mark.parametrize("secret", ["", WEBHOOK_SECRET])
    def test_a_webhook_that_is_gone_is_not_called(
        self, make_app: MakeApp, endpoint: Endpoint, john: Headers, secret: str
    ) -> None:
        service = Deliveries(make_app(**LOCAL, webhook_secret=secret))
        webhook_id = register(service, endpoint.url, john)["webhookId"]
        made = service.accept(note_to(endpoint.url), john)
        client = service.app.test_client(use_cookies=False)
        client.delete(f"{WEBHOOKS}/{webhook_id}", headers=john)

        service.let_time_pass()

        assert service.status_of(made) == ("failed", 1, "The webhook is not registered any more")
        assert endpoint.calls == []

    def test_users_call_only_their_own(
        self, service: Deliveries, endpoint: Endpoint, john: Headers, jane: Headers
    ) -> None:
        register(service, endpoint.url, john)
        client = service.app.test_client(use_cookies=False)

        answer = client.post(NOTIFICATIONS, json=note_to(endpoint.url), headers=jane)

        assert answer.status_code == 403
        assert endpoint.calls == []

    @pytest.mark.parametrize(
        ("secret", "key"),
        [
            (WEBHOOK_SECRET, WEBHOOK_SECRET.encode()),
            ("whsec_" + base64.b64encode(b"24 bytes, as is usual ..").decode(), None),
        ],
    )
    def test_services_call_any_where_there_is_a_secret_for_that(
        self, make_app: MakeApp, endpoint: Endpoint, secret: str, key: bytes | None
    ) -> None:
        service = Deliveries(make_app(**LOCAL, webhook_secret=secret))

        made = service.send(note_to(endpoint.url))

        assert service.status_of(made) == ("sent", 1, None)
        (call,) = endpoint.calls
        check_signature(call, secret if key is None else "whsec_" + base64.b64encode(key).decode())

    def test_and_only_what_is_registered_where_there_is_none(
        self, service: Deliveries, endpoint: Endpoint, john: Headers
    ) -> None:
        client = service.app.test_client(use_cookies=False)
        mine = note_to(endpoint.url) | {"userId": 7}

        refused = [
            client.post(NOTIFICATIONS, json=body, headers=SERVICE)
            for body in (note_to(endpoint.url), mine)
        ]
        secret = register(service, endpoint.url, john)["secret"]
        made = service.send(mine)

        assert [answer.status_code for answer in refused] == [403, 403]
        assert service.status_of(made)[0] == "sent"
        check_signature(endpoint.calls[0], secret)


class TestRates:
    """What goes to one domain, or one host, in a minute is limited. What is over it waits."""

    def test_thirty_mails_to_one_domain_go_ten_at_a_time(self, make_app: MakeApp) -> None:
        service = Deliveries(make_app(rate_limit_deliveries="10/60"))
        made = [service.accept(WELCOME) for _ in range(30)]
        service.let_time_pass()

        statuses = [service.status_of(one) for one in made]
        assert sorted(statuses) == [("queued", 0, None)] * 20 + [("sent", 1, None)] * 10
        waiting = [one for one in made if service.status_of(one)[0] == "queued"]
        now = datetime.now(UTC)
        for one in waiting:
            assert now < service.due_at(one) < now + timedelta(seconds=60 + 15 + 1)
            assert service.attempts_at(one) == []

    def test_none_of_them_is_lost(self, make_app: MakeApp) -> None:
        service = Deliveries(make_app(rate_limit_deliveries="10/2", delivery_attempts=1))
        made = [service.accept(WELCOME) for _ in range(30)]
        until = time.monotonic() + 30

        while any(service.status_of(one)[0] == "queued" for one in made):
            assert time.monotonic() < until
            service.let_time_pass()

        assert [service.status_of(one) for one in made] == [("sent", 1, None)] * 30

    def test_other_domains_are_not_delayed(self, make_app: MakeApp) -> None:
        service = Deliveries(make_app(rate_limit_deliveries="1/60"))
        first = service.send(WELCOME)
        second = service.send(WELCOME | {"recipient": "jane@EXAMPLE.com"})
        other = service.send(WELCOME | {"recipient": "john@example.org"})

        statuses = [service.status_of(one)[0] for one in (first, second, other)]
        assert statuses == ["sent", "queued", "sent"]

    def test_nor_are_webhooks_by_mails(self, make_app: MakeApp, endpoint: Endpoint) -> None:
        service = Deliveries(
            make_app(**LOCAL, webhook_secret=WEBHOOK_SECRET, rate_limit_deliveries="1/60")
        )
        mail = service.send(WELCOME)
        first, second = (service.send(note_to(endpoint.url)) for _ in "12")

        statuses = [service.status_of(one)[0] for one in (mail, first, second)]
        assert statuses == ["sent", "sent", "queued"]
        assert len(endpoint.calls) == 1
