"""The limit of deliveries to one domain or host. Deliveries over the limit are postponed."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from app.deliveries.hosts import CallsOfUsers, HostBusy
from common.pyportal_common.cache_handlers import get_redis_client

from .conftest import WELCOME, MakeApp, Serve
from .endpoint import Endpoint, note_to
from .sender import Sender


def test_deliveries_over_the_limit_are_postponed_without_an_attempt(make_app: MakeApp) -> None:
    sender = Sender(make_app(rate_limit_deliveries="10/60"))
    accepted = [sender.accept(WELCOME) for _ in range(30)]

    sender.deliver_later()

    statuses = [sender.status_of(one) for one in accepted]
    assert sorted(statuses) == [("queued", 0, None)] * 20 + [("sent", 1, None)] * 10
    now = datetime.now(UTC)
    for one in accepted:
        if sender.status_of(one)[0] == "queued":
            assert now < sender.due_at(one) < now + timedelta(seconds=60 + 15 + 1)
            assert sender.attempts_of(one) == []


def test_all_postponed_deliveries_are_made_in_the_end(make_app: MakeApp) -> None:
    sender = Sender(make_app(rate_limit_deliveries="10/2", delivery_attempts=1))
    accepted = [sender.accept(WELCOME) for _ in range(30)]
    deadline = time.monotonic() + 30

    while any(sender.status_of(one)[0] == "queued" for one in accepted):
        assert time.monotonic() < deadline
        sender.deliver_later()

    assert [sender.status_of(one) for one in accepted] == [("sent", 1, None)] * 30


def test_each_domain_and_each_host_has_its_own_limit(make_app: MakeApp, serve: Serve) -> None:
    endpoint = Endpoint()
    url = serve(endpoint.talk).url
    sender = Sender(
        make_app(
            webhook_networks="127.0.0.0/8",
            webhook_secret="a-secret-of-all-services",
            rate_limit_deliveries="1/60",
        )
    )

    sent = [
        sender.send(body)
        for body in (
            WELCOME,
            WELCOME | {"recipient": "jane@EXAMPLE.com"},
            WELCOME | {"recipient": "john@example.org"},
            note_to(url),
            note_to(url),
        )
    ]

    statuses = [sender.status_of(one)[0] for one in sent]
    assert statuses == ["sent", "queued", "sent", "sent", "queued"]
    assert len(endpoint.calls) == 1


def test_the_limits_are_counted_with_all_others_in_database_0(sender: Sender) -> None:
    sender.send(WELCOME)

    key = "rate_limit:notification:email:example.com"
    counted = [get_redis_client(db).exists(key) for db in range(4)]
    assert counted == [1, 0, 0, 0]


def test_calls_of_a_user_wait_for_fast_ones_and_not_for_those_that_hang() -> None:
    now = [0.0]
    calls = CallsOfUsers(clock=lambda: now[0])

    def call() -> bool:
        with calls.calling(7):
            return True

    with calls.calling(7), ThreadPoolExecutor(1) as thread:
        with calls.calling(7):
            fast = thread.submit(call)
        assert fast.result()
        with calls.calling(7):
            now[0] = 0.5
            with pytest.raises(HostBusy):
                call()
            with calls.calling(8):
                pass
    assert call()
