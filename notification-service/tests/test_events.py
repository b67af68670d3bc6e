"""Events: what webhooks receive when something happens to their users."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, insert, inspect, select, update
from werkzeug.test import TestResponse

from app.events.catalogue import EVENT_TYPES, TEST
from app.models import Event, EventAttempt, EventDelivery, Webhook
from common.pyportal_common.db import Base
from common.pyportal_common.redis_server import RedisServer
from common.pyportal_common.testing.kit import API, json_of, problem_of, run_schedule, statements_of
from common.pyportal_common.testing.raw_servers import Conversation

from .conftest import DONE, Headers, MakeApp, Serve, Users, mails_in
from .endpoint import OK, Endpoint, HangingEndpoint, response
from .sender import SERVICE, WEBHOOKS, Sender, Shown

EVENTS = f"{API}/events"
VERIFIED: dict[str, Any] = {
    "type": "user.verified",
    "userId": 7,
    "data": {"username": "john_doe", "verifiedAt": "2026-01-31T09:30:15Z"},
}
LOCAL: dict[str, Any] = {"webhook_networks": "127.0.0.0/8", "delivery_backoff_seconds": 3600}
CANCELLED = DONE | {
    "data": DONE["data"]
    | {
        "taskType": "booking_cancellation",
        "details": DONE["data"]["details"] | {"bookingTaskId": 1},
    }
}


@pytest.fixture
def endpoint(serve: Serve) -> Endpoint:
    endpoint = Endpoint()
    endpoint.url = f"{serve(endpoint.talk).url}hook"
    return endpoint


@pytest.fixture
def sender(make_app: MakeApp, users: Users) -> Sender:  # noqa: ARG001  User Management runs
    """A sender whose webhooks may be on this machine."""
    return Sender(make_app(**LOCAL))


class Hook:
    """A webhook of a user."""

    def __init__(self, sender: Sender, headers: Headers, url: str, **options: Any) -> None:
        self.sender, self.headers = sender, headers
        created = sender.client.post(WEBHOOKS, json={"url": url, **options}, headers=headers)
        assert created.status_code == 201, created.text
        self.created: Shown = json_of(created)["webhook"]
        self.path = f"{WEBHOOKS}/{self.created['webhookId']}"

    def call(self, path: str, method: str = "POST", **options: Any) -> TestResponse:
        """Call a route of the webhook."""
        headers = options.pop("headers", self.headers)
        return self.sender.client.open(self.path + path, method=method, headers=headers, **options)

    def shown(self) -> Shown:
        """The webhook."""
        found: Shown = json_of(self.call("", "GET"))["webhook"]
        return found

    def deliveries(self, **query: str) -> list[Shown]:
        """Its deliveries, the newest first."""
        found: list[Shown] = json_of(self.call("/deliveries", "GET", query_string=query))["items"]
        return found

    def change(self, **changes: Any) -> Shown:
        """Change it."""
        changed = self.call("", "PATCH", json=changes)
        assert changed.status_code == 200, changed.text
        found: Shown = json_of(changed)["webhook"]
        return found


@pytest.fixture
def hook(sender: Sender, endpoint: Endpoint, john: Headers) -> Hook:
    """John's webhook at the endpoint, for all events."""
    return Hook(sender, john, endpoint.url)


def publish(sender: Sender, body: Shown = VERIFIED, key: str | None = None) -> str:
    """Publish an event as another service. Returns its id."""
    headers = SERVICE | ({} if key is None else {"Idempotency-Key": key})
    published = sender.client.post(EVENTS, json=body, headers=headers)
    assert published.status_code == 202, published.text
    return str(json_of(published)["eventId"])


def set_attempts(sender: Sender, attempts: int) -> None:
    """Set how many attempts at every event there have been."""
    with sender.services.database.begin() as tx:
        for row in tx.scalars(select(EventDelivery)):
            row.attempts = attempts


def _columns_of(row: Base) -> dict[str, Any]:
    return {column.key: getattr(row, column.key) for column in inspect(type(row)).columns}


def bodies(endpoint: Endpoint) -> list[Shown]:
    """What the endpoint has received, which is as the catalogue says."""
    received: list[Shown] = [json.loads(call.body) for call in endpoint.calls]
    for body in received:
        assert body.keys() == {"type", "timestamp", "sequence", "data"}
        data = EVENT_TYPES[body["type"]].data
        data.model_validate_json(json.dumps(body["data"]))
        assert body["data"].keys() == {field.alias for field in data.model_fields.values()}
    return received


class TestDelivery:
    def test_dead_endpoint_of_another_user_at_the_same_host_holds_up_nothing(
        self, sender: Sender, hook: Hook, jane: Headers
    ) -> None:
        dead = Hook(sender, jane, "http://127.0.0.1:1/")
        publish(sender, VERIFIED | {"userId": 8})
        sender.deliver_events()
        publish(sender)
        sender.deliver_events()

        assert [each["status"] for each in dead.deliveries()] == ["queued"]
        assert [each["status"] for each in hook.deliveries()] == ["sent"]

    def test_booked_flight_arrives_at_a_webhook_without_types(
        self, sender: Sender, endpoint: Endpoint, hook: Hook
    ) -> None:
        sender.accept(DONE)
        sender.deliver_events()

        received = {body["type"]: body for body in bodies(endpoint)}
        assert received.keys() == {"task.completed", "booking.confirmed"}
        confirmed = received["booking.confirmed"]
        assert confirmed["data"] == {"bookingId": 42, **DONE["data"]["details"]}
        assert received["task.completed"]["data"] == DONE["data"]
        assert sorted(body["sequence"] for body in received.values()) == [1, 2]
        for call in endpoint.calls:
            call.check_signature(hook.created["secret"])
        assert {call.headers["webhook-id"] for call in endpoint.calls} == {
            delivery["eventId"] for delivery in hook.deliveries()
        }

    @pytest.mark.parametrize(
        ("body", "types"),
        [
            (CANCELLED, {"task.completed", "booking.cancelled"}),
            (
                DONE
                | {
                    "template": "task_failed",
                    "data": {
                        "taskReference": "TASK-1",
                        "taskType": "flight_booking",
                        "error": "Sold out",
                    },
                },
                {"task.failed"},
            ),
            (
                DONE
                | {
                    "template": "password_changed",
                    "data": {"username": "john_doe", "changedAt": "2026-01-31T09:30:15Z"},
                },
                {"user.password_changed"},
            ),
            (
                DONE
                | {
                    "template": "new_login",
                    "data": {
                        "username": "john_doe",
                        "address": "10.0.0.7",
                        "at": "2026-01-31T09:30:15Z",
                    },
                },
                {"user.new_login"},
            ),
        ],
    )
    def test_notifications_of_services_report_events(
        self, sender: Sender, hook: Hook, body: Shown, types: set[str]
    ) -> None:
        sender.accept(body)

        assert {delivery["eventType"] for delivery in hook.deliveries()} == types

    def test_cancelled_booking_has_the_id_of_the_booking_not_of_the_task(
        self, sender: Sender, endpoint: Endpoint, john: Headers
    ) -> None:
        Hook(sender, john, endpoint.url, eventTypes=["booking.cancelled"])

        sender.accept(CANCELLED)
        sender.deliver_events()

        assert bodies(endpoint)[0]["data"] == {"bookingId": 1, **DONE["data"]["details"]}

    def test_users_cannot_forge_events_by_templates(
        self, sender: Sender, hook: Hook, john: Headers
    ) -> None:
        sender.accept(DONE, john)

        assert hook.deliveries() == []

    def test_repeated_message_is_one_event(self, sender: Sender, hook: Hook) -> None:
        items = [{"idempotencyKey": "one", "notification": DONE}]
        for _ in range(2):
            sender.client.post(f"{API}/notifications/batch", json={"items": items}, headers=SERVICE)
            sender.accept(DONE, SERVICE | {"Idempotency-Key": "two"})
        ids = {publish(sender, key="three") for _ in range(2)}

        assert len(ids) == 1
        types = [delivery["eventType"] for delivery in hook.deliveries()]
        assert sorted(types) == [
            *["booking.confirmed"] * 2,
            *["task.completed"] * 2,
            "user.verified",
        ]

    def test_only_types_that_are_subscribed_arrive(
        self, sender: Sender, john: Headers, jane: Headers
    ) -> None:
        url = "https://example.com/"
        some = Hook(sender, john, url, eventTypes=["booking.confirmed"])
        none = Hook(sender, john, f"{url}none", eventTypes=[])
        janes = Hook(sender, jane, url)

        sender.accept(DONE)

        assert [each["eventType"] for each in some.deliveries()] == ["booking.confirmed"]
        assert none.deliveries() == janes.deliveries() == []
        none.change(eventTypes=None)
        publish(sender)
        assert [each["sequence"] for each in none.deliveries()] == [1]

    def test_failed_notification_is_an_event(
        self, make_app: MakeApp, endpoint: Endpoint, john: Headers
    ) -> None:
        sender = Sender(make_app(**LOCAL, webhook_secret="a-secret"))
        hook = Hook(sender, john, endpoint.url, eventTypes=["notification.failed"])

        sent = sender.send(DONE | {"channel": "webhook", "recipient": "http://10.0.0.1/"})
        sender.deliver_events()

        (body,) = bodies(endpoint)
        assert body["data"]["notificationId"] == sent["notificationId"]
        assert body["data"]["channel"] == "webhook"
        assert "WEBHOOK_NETWORKS" in body["data"]["error"]
        assert [each["status"] for each in hook.deliveries()] == ["sent"]

    def test_notification_that_fails_again_after_a_retry_is_another_event(
        self, make_app: MakeApp, endpoint: Endpoint, john: Headers
    ) -> None:
        sender = Sender(make_app(**LOCAL, webhook_secret="a-secret"))
        hook = Hook(sender, john, endpoint.url, eventTypes=["notification.failed"])
        sent = sender.send(DONE | {"channel": "webhook", "recipient": "http://10.0.0.1/"})

        assert sender.retry(sent).status_code == 202

        assert len({each["eventId"] for each in hook.deliveries()}) == 2

    def test_events_that_come_out_of_order_have_their_numbers(
        self, sender: Sender, endpoint: Endpoint, hook: Hook
    ) -> None:
        endpoint.responses = [response(503), OK]
        first = publish(sender)
        sender.deliver_events()
        second = publish(sender)
        sender.deliver_events()

        numbers = [(body["sequence"]) for body in bodies(endpoint)]
        ids = [call.headers["webhook-id"] for call in endpoint.calls]
        assert sorted(zip(ids, numbers, strict=True)) == sorted(
            [(first, 1), (first, 1), (second, 2)]
        )
        assert {each["status"] for each in hook.deliveries()} == {"sent"}

    def test_numbers_that_do_not_arrive_are_in_the_list_of_deliveries(
        self, sender: Sender, endpoint: Endpoint, hook: Hook
    ) -> None:
        endpoint.responses = [response(410), OK]
        publish(sender)
        sender.deliver_events()
        publish(sender)
        hook.change(enabled=True)
        publish(sender)
        sender.deliver_events()

        assert [body["sequence"] for body in bodies(endpoint)] == [1, 3]
        assert {each["sequence"]: each["status"] for each in hook.deliveries()} == {
            1: "failed",
            2: "suppressed",
            3: "sent",
        }

    def test_numbers_have_no_gaps_when_many_events_come_at_once(
        self, make_app: MakeApp, sender: Sender, hook: Hook
    ) -> None:
        other = Sender(make_app(**LOCAL))

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda number: publish((sender, other)[number % 2]), range(20)))

        assert sorted(each["sequence"] for each in hook.deliveries()) == [*range(1, 21)]
        assert hook.shown()["sequence"] == 20


class TestFailures:
    @pytest.mark.parametrize("status", [302, 307, 400, 401, 404, 429, 500, 503])
    def test_any_other_response_is_retried_and_no_redirect_followed(
        self, sender: Sender, endpoint: Endpoint, hook: Hook, serve: Serve, status: int
    ) -> None:
        inside = Endpoint()
        endpoint.responses = [response(status, f"Location: {serve(inside.talk).url}")]

        publish(sender)
        sender.deliver_events()

        (delivery,) = hook.deliveries()
        assert delivery["status"] == "queued"
        assert delivery["error"] == f"The endpoint answered {status}"
        assert delivery["nextAttemptAt"] is not None
        (attempt,) = delivery["attempts"]
        assert (attempt["outcome"], attempt["answer"]) == ("put off", f"{status} reason")
        assert inside.calls == []
        assert hook.shown()["failingSince"] == attempt["startedAt"]

    def test_success_ends_the_time_of_failures(
        self, sender: Sender, endpoint: Endpoint, hook: Hook
    ) -> None:
        endpoint.responses = [response(500), OK]
        publish(sender)
        for _ in range(2):
            sender.deliver_events()

        assert hook.shown()["failingSince"] is None
        (delivery,) = hook.deliveries()
        assert [each["outcome"] for each in delivery["attempts"]] == ["put off", "sent"]
        assert (delivery["status"], delivery["error"]) == ("sent", None)

    def test_endpoint_that_hangs_does_not_delay_others(
        self, make_app: MakeApp, serve: Serve, endpoint: Endpoint, john: Headers
    ) -> None:
        sender = Sender(make_app(**LOCAL, delivery_timeout_seconds=2))

        def hang(client: Conversation) -> None:
            client.hear()
            client.hear()  # until the caller gives up

        hanging = Hook(sender, john, serve(hang).url)
        other = Hook(sender, john, endpoint.url)
        publish(sender)

        sender.deliver_events()

        (delivery,) = hanging.deliveries()
        assert delivery["status"] == "queued"
        assert delivery["error"] == ("The endpoint cannot be reached: no answer within 2 seconds")
        assert [each["status"] for each in other.deliveries()] == ["sent"]

    def test_webhooks_of_one_user_that_hang_hold_two_threads_of_the_worker(
        self, sender: Sender, serve: Serve, endpoint: Endpoint, john: Headers, jane: Headers
    ) -> None:
        hanging = HangingEndpoint()
        url = serve(hanging.talk).url
        hooks = [Hook(sender, john, f"{url}{number}") for number in range(8)]
        other = Hook(sender, jane, endpoint.url)
        publish(sender)
        publish(sender, VERIFIED | {"userId": 8})

        assert hanging.held_while(sender.run_events) == 2
        assert [each["status"] for each in other.deliveries()] == ["sent"]
        shown = [each for hook in hooks for each in hook.deliveries()]
        assert [each["status"] for each in shown] == ["queued"] * 8
        assert sum(len(each["attempts"]) for each in shown) == 2

    def test_410_disables_at_once_and_the_owner_gets_a_mail(
        self, sender: Sender, endpoint: Endpoint, hook: Hook
    ) -> None:
        endpoint.responses = [response(410)]
        publish(sender)
        sender.deliver_events()
        publish(sender)
        sender.deliver_events()

        assert len(endpoint.calls) == 1
        shown = hook.shown()
        assert shown["enabled"] is False
        assert shown["disabledReason"] == "Its endpoint answered 410 Gone"
        assert [each["status"] for each in hook.deliveries()] == ["suppressed", "failed"]
        sender.deliver()
        (mail,) = mails_in(sender.data_dir)
        assert mail["Subject"] == "Your webhook is disabled"
        assert endpoint.url in mail.get_body(("plain",)).get_content()  # type: ignore[union-attr]

    def test_five_days_of_failures_disable_it(
        self, sender: Sender, endpoint: Endpoint, hook: Hook
    ) -> None:
        endpoint.responses = [response(500)]

        def fail_since(days: float) -> bool:
            since = datetime.now(UTC) - timedelta(days=days)
            with sender.services.database.begin() as tx:
                tx.execute(update(Webhook).values(failing_since=since))
            sender.deliver_events()
            return bool(hook.shown()["enabled"])

        publish(sender)

        assert fail_since(4.99) is True
        assert fail_since(5) is False
        sender.deliver()
        assert len(mails_in(sender.data_dir)) == 1

    def test_disabled_webhook_is_enabled_by_hand_and_recovers_what_it_missed(
        self, sender: Sender, endpoint: Endpoint, hook: Hook
    ) -> None:
        began = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        endpoint.responses = [response(410), OK]
        publish(sender)
        sender.deliver_events()
        publish(sender)
        recover = f"/recover?since={began}"

        assert hook.call(recover).status_code == 409
        failed = hook.deliveries(status="failed")[0]["deliveryId"]
        assert hook.call(f"/deliveries/{failed}/retry").status_code == 409
        assert hook.change(enabled=True)["disabledReason"] is None
        recovered = hook.call(recover)
        sender.deliver_events()

        assert (recovered.status_code, recovered.json) == (202, {"retried": 2})
        assert [each["status"] for each in hook.deliveries()] == ["sent", "sent"]
        assert json_of(hook.call(recover)) == {"retried": 0}

    def test_enabling_ends_the_time_of_failures(
        self, sender: Sender, endpoint: Endpoint, hook: Hook
    ) -> None:
        endpoint.responses = [response(410), response(500)]
        publish(sender)
        sender.deliver_events()
        long_ago = datetime.now(UTC) - timedelta(days=6)
        with sender.services.database.begin() as tx:
            tx.execute(update(Webhook).values(failing_since=long_ago))

        assert hook.change(enabled=True)["failingSince"] is None
        publish(sender)
        sender.deliver_events()

        assert hook.shown()["enabled"] is True

    def test_recover_without_a_time_retries_all_from_the_first_attempt_on(
        self, sender: Sender, endpoint: Endpoint, hook: Hook
    ) -> None:
        endpoint.responses = [response(410), OK]
        publish(sender)
        sender.deliver_events()
        publish(sender)
        hook.change(enabled=True)
        set_attempts(sender, 40)

        assert json_of(hook.call("/recover")) == {"retried": 2}
        endpoint.responses = [response(500)]
        sender.deliver_events()

        assert [each["status"] for each in hook.deliveries()] == ["queued", "queued"]
        assert {each["attempts"][-1]["number"] for each in hook.deliveries()} == {1}

    def test_recover_takes_the_oldest_ten_thousand_at_a_time(
        self, sender: Sender, hook: Hook
    ) -> None:
        publish(sender)
        numbers = range(2, 10_002)
        with sender.services.database.begin() as tx:
            first = tx.scalars(select(EventDelivery)).one()
            first.apply(first.ended(first.created_at, "failed"))
            tx.flush()
            event = _columns_of(tx.get_one(Event, first.event_id))
            delivery = _columns_of(first)
            del delivery["id"]
            tx.execute(insert(Event), [event | {"id": f"evt_{number}"} for number in numbers])
            copies = [{"sequence": number, "event_id": f"evt_{number}"} for number in numbers]
            rows = [delivery | copy for copy in copies]
            tx.execute(insert(EventDelivery), rows, execution_options={"cache_keys": ()})

        assert json_of(hook.call("/recover")) == {"retried": 10_000}
        assert [each["sequence"] for each in hook.deliveries(status="failed")] == [10_001]
        assert json_of(hook.call("/recover")) == {"retried": 1}

    @pytest.mark.parametrize("status", [429, 500, 503])
    def test_next_attempt_is_not_before_retry_after(
        self, make_app: MakeApp, endpoint: Endpoint, john: Headers, status: int
    ) -> None:
        sender = Sender(make_app(**LOCAL | {"delivery_backoff_seconds": 1}))
        hook = Hook(sender, john, endpoint.url)
        endpoint.responses = [response(status, "Retry-After: 7200")]

        publish(sender)
        before = datetime.now(UTC)
        sender.deliver_events()

        (delivery,) = hook.deliveries()
        pause = datetime.fromisoformat(delivery["nextAttemptAt"]) - before
        assert timedelta(hours=2) <= pause < timedelta(hours=2, minutes=1)

    def test_event_fails_after_forty_attempts(
        self, sender: Sender, endpoint: Endpoint, hook: Hook
    ) -> None:
        endpoint.responses = [response(500)]
        publish(sender)

        def attempt_again_after(attempts: int) -> Shown:
            set_attempts(sender, attempts)
            sender.deliver_events()
            return hook.deliveries()[0]

        assert attempt_again_after(38)["status"] == "queued"
        failed = attempt_again_after(39)
        assert failed["status"] == "failed"
        assert failed["error"] == "The endpoint answered 500, 40 times"

    def test_recover_takes_only_what_is_newer(
        self, sender: Sender, endpoint: Endpoint, hook: Hook
    ) -> None:
        endpoint.responses = [response(410), OK]
        publish(sender)
        sender.deliver_events()
        hook.change(enabled=True)
        later = (datetime.now(UTC) + timedelta(seconds=1)).isoformat().replace("+00:00", "Z")

        assert json_of(hook.call("/recover", query_string={"since": later})) == {"retried": 0}
        for since in (
            "yesterday",
            "2026-01-31",
            "2026-01-31T09:30:15",
            "0.5",
            "-5",
            "1769851815",
            "",
            "0001-01-01T00:00:00+14:00",
            "9999-12-31T23:59:59-14:00",
        ):
            refused = hook.call("/recover", query_string={"since": since})
            assert problem_of(refused) == (422, ["since"])

    def test_one_delivery_is_retried(self, sender: Sender, endpoint: Endpoint, hook: Hook) -> None:
        endpoint.responses = [response(410), OK]
        publish(sender)
        sender.deliver_events()
        hook.change(enabled=True)
        path = f"/deliveries/{hook.deliveries()[0]['deliveryId']}"

        retried = hook.call(f"{path}/retry")
        sender.deliver_events()

        assert retried.status_code == 202
        assert json_of(hook.call(path, "GET"))["delivery"]["status"] == "sent"
        assert hook.call(f"{path}/retry").status_code == 409
        assert hook.call("/deliveries/999/retry").status_code == 404

    def test_refused_address_says_how_it_is_allowed(
        self, make_app: MakeApp, endpoint: Endpoint, john: Headers
    ) -> None:
        sender = Sender(make_app())
        hook = Hook(sender, john, endpoint.url)
        hook.call("/test")

        sender.deliver_events()

        (delivery,) = hook.deliveries()
        assert delivery["status"] == "failed"
        assert delivery["error"] == (
            "127.0.0.1 is at an address that is not allowed: it must be public, or in a network "
            "that the operator of the portal has allowed with WEBHOOK_NETWORKS"
        )
        assert endpoint.calls == []

    def test_deleted_webhook_receives_nothing_more(
        self, sender: Sender, endpoint: Endpoint, hook: Hook
    ) -> None:
        publish(sender)
        hook.call("", "DELETE")

        sender.deliver_events()

        assert endpoint.calls == []
        with sender.services.database.read() as tx:
            assert tx.scalars(select(EventDelivery.status)).all() == ["suppressed"]


class TestOutage:
    def test_events_are_published_and_arrive_without_redis(
        self, make_app: MakeApp, own_redis: RedisServer, endpoint: Endpoint, john: Headers
    ) -> None:
        sender = Sender(make_app(**LOCAL))
        Hook(sender, john, endpoint.url)
        without = Sender(make_app(**LOCAL, redis_url=own_redis.url))
        own_redis.kill()

        event_id = publish(without)
        without.deliver_events()

        assert [call.headers["webhook-id"] for call in endpoint.calls] == [event_id]


class TestSecrets:
    def test_both_secrets_sign_for_a_day(
        self, sender: Sender, endpoint: Endpoint, hook: Hook
    ) -> None:
        old = hook.created["secret"]
        rotated = json_of(hook.call("/rotate-secret"))["webhook"]
        new, until = rotated["secret"], datetime.fromisoformat(rotated["previousSecretUntil"])
        hook.call("/test")
        sender.deliver_events()

        assert new != old
        assert timedelta(hours=23) < until - datetime.now(UTC) <= timedelta(hours=24)
        (call,) = endpoint.calls
        call.check_signature(old)
        call.check_signature(new)
        assert "secret" not in hook.shown()

        with sender.services.database.begin() as tx:
            tx.execute(update(Webhook).values(previous_secret_until=datetime.now(UTC)))
        hook.call("/test")
        sender.deliver_events()

        last = endpoint.calls[-1]
        last.check_signature(new)
        with pytest.raises(AssertionError):
            last.check_signature(old)

    def test_after_two_rotations_the_two_newest_secrets_sign(
        self, sender: Sender, endpoint: Endpoint, hook: Hook
    ) -> None:
        rotated = [json_of(hook.call("/rotate-secret"))["webhook"] for _ in range(2)]

        hook.call("/test")
        sender.deliver_events()

        (call,) = endpoint.calls
        for newest in rotated:
            call.check_signature(newest["secret"])
        with pytest.raises(AssertionError):
            call.check_signature(hook.created["secret"])


class TestTests:
    def test_test_goes_to_one_webhook_also_if_it_is_disabled(
        self, sender: Sender, endpoint: Endpoint, hook: Hook, john: Headers
    ) -> None:
        other = Hook(sender, john, "https://example.com/")
        hook.change(enabled=False, eventTypes=[])

        created = hook.call("/test")
        sender.deliver_events()

        assert created.status_code == 202
        delivery = json_of(created)["delivery"]
        assert (delivery["eventType"], delivery["status"]) == (TEST, "queued")
        (body,) = bodies(endpoint)
        assert body["data"] == {"webhookId": hook.created["webhookId"]}
        assert other.deliveries() == []
        assert hook.shown()["enabled"] is False


class TestOwners:
    def test_nobody_else_sees_or_changes_a_webhook(
        self, sender: Sender, hook: Hook, jane: Headers
    ) -> None:
        publish(sender)
        delivery = hook.deliveries()[0]["deliveryId"]
        janes = Hook(sender, jane, "https://example.com/")
        calls = [
            ("", "GET"),
            ("/rotate-secret", "POST"),
            ("/test", "POST"),
            ("/recover?since=2026-01-31T09:30:15Z", "POST"),
            ("/deliveries", "GET"),
            (f"/deliveries/{delivery}", "GET"),
            (f"/deliveries/{delivery}/retry", "POST"),
        ]

        for path, method in calls:
            assert hook.call(path, method, headers=jane).status_code == 404, path
        assert hook.call("", "PATCH", headers=jane, json={"enabled": False}).status_code == 404
        assert janes.call(f"/deliveries/{delivery}", "GET").status_code == 404
        assert janes.call(f"/deliveries/{delivery}/retry").status_code == 404

    def test_only_services_publish_valid_events(self, sender: Sender, john: Headers) -> None:
        post = sender.client.post
        assert post(EVENTS, json=VERIFIED, headers=john).status_code == 401
        for change, field in (
            ({"type": "user.unknown"}, "type"),
            ({"type": TEST}, "type"),
            ({"data": {}}, "data.username"),
            ({"userId": 0}, "userId"),
        ):
            status, fields = problem_of(post(EVENTS, json=VERIFIED | change, headers=SERVICE))
            assert (status, fields[0].split(".")[0]) == (422, field.split(".")[0])

    def test_key_of_another_event_is_refused(self, sender: Sender, hook: Hook) -> None:
        publish(sender, key="one")
        headers = SERVICE | {"Idempotency-Key": "one"}
        other = VERIFIED | {"data": VERIFIED["data"] | {"username": "jane"}}

        refused = sender.client.post(EVENTS, json=other, headers=headers)

        assert problem_of(refused) == (422, ["Idempotency-Key"])
        assert publish(sender, key="one") == publish(sender, key="one")
        assert len(hook.deliveries()) == 1

    def test_deleted_user_leaves_no_events(self, sender: Sender, hook: Hook) -> None:
        publish(sender)
        sender.deliver_events()

        sender.client.post(f"{API}/users/7/anonymise", headers=SERVICE)

        with sender.services.database.read() as tx:
            for model in (Event, EventDelivery, EventAttempt, Webhook):
                assert tx.scalar(select(func.count()).select_from(model)) == 0
        assert hook.call("", "GET").status_code == 404


class TestLists:
    def test_deliveries_are_paged_also_after_the_cursor_is_gone(
        self, sender: Sender, hook: Hook
    ) -> None:
        for _ in range(5):
            publish(sender)

        first = json_of(hook.call("/deliveries?limit=2", "GET"))
        with sender.services.database.begin() as tx:
            tx.delete(tx.get_one(EventDelivery, int(first["next"])))
        rest = json_of(hook.call(f"/deliveries?limit=2&cursor={first['next']}", "GET"))

        assert [each["sequence"] for each in first["items"]] == [5, 4]
        assert [each["sequence"] for each in rest["items"]] == [3, 2]
        query = "/deliveries?limit=2&status=queued"
        link = hook.call(query, "GET").headers["Link"]
        last = rest["items"][0]["deliveryId"]
        assert link == f'<{hook.path}{query}&cursor={last}>; rel="next"'
        assert problem_of(hook.call("/deliveries?limit=101", "GET")) == (422, ["limit"])

    def test_deliveries_are_filtered_by_type_and_status(self, sender: Sender, hook: Hook) -> None:
        publish(sender)
        sender.accept(DONE)
        sender.deliver_events()
        hook.call("/test")
        publish(sender)

        def found(**query: str) -> list[int]:
            return [each["sequence"] for each in hook.deliveries(**query)]

        assert found(eventType="user.verified") == [5, 1]
        assert found(eventType="user.verified", status="sent") == [1]
        assert found(eventType=TEST) == found(eventType=TEST, status="queued") == [4]
        assert found(eventType="booking.cancelled") == []
        refused = hook.call("/deliveries?eventType=x", "GET")
        assert problem_of(refused) == (422, ["eventType"])

    def test_unknown_types_are_refused(self, sender: Sender, john: Headers, hook: Hook) -> None:
        body = {"url": "https://example.com/", "eventTypes": ["booking.confirmed", "x"]}

        refused = sender.client.post(WEBHOOKS, json=body, headers=john)

        assert problem_of(refused) == (422, ["eventTypes.1"])
        assert "booking.cancelled" in json_of(refused)["details"][0]["message"]
        changed = hook.call("", "PATCH", json={"eventTypes": [TEST]})
        assert problem_of(changed) == (422, ["eventTypes.0"])


class TestSizes:
    def test_hundred_webhooks_of_ten_thousand_get_one_event_by_few_statements(
        self, sender: Sender, endpoint: Endpoint
    ) -> None:
        now = datetime.now(UTC)
        rows = [
            {
                "user_id": number // 100 + 1,
                "url": f"{endpoint.url}/{number}",
                "secret": "whsec_" + "A" * 32,
                "sequence": 0,
                "created_at": now,
            }
            for number in range(10_000)
        ]
        with sender.services.database.begin() as tx:
            tx.execute(insert(Webhook), rows)
        statements = statements_of(sender.services.database)

        event_id = publish(sender)

        assert len([text for text in statements if not text.startswith("PRAGMA")]) <= 8
        sender.deliver_events()
        assert len(endpoint.calls) == 100
        assert {call.headers["webhook-id"] for call in endpoint.calls} == {event_id}
        with sender.services.database.read() as tx:
            statuses = tx.scalars(select(EventDelivery.status).distinct()).all()
            assert statuses == ["sent"]

    def test_old_events_are_deleted_with_their_deliveries(self, sender: Sender, hook: Hook) -> None:
        publish(sender)
        sender.deliver_events()
        with sender.services.database.begin() as tx:
            tx.execute(update(Event).values(created_at=datetime.now(UTC) - timedelta(days=31)))
        publish(sender)

        run_schedule(sender.services, "delete-old-events")

        assert [each["sequence"] for each in hook.deliveries()] == [2]
