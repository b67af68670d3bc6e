"""The admin API: notifications and events of all users, and what receivers answered."""

import json
from typing import Any

import pytest
from flask import Flask

from common.pyportal_common.testing.kit import API, json_of, problem_of, session_headers

from .conftest import DONE, WELCOME, Headers, MakeApp, Serve, Users
from .endpoint import Endpoint, response
from .mail_servers import Scripted
from .sender import WEBHOOKS, Sender, Shown

JOBS = f"{API}/admin/jobs"


class Admin:
    """An admin with a recent login."""

    def __init__(self, app: Flask) -> None:
        self.client = app.test_client(use_cookies=False)
        self.headers = session_headers(901, "admin")

    def get(self, path: str) -> Any:
        """What a GET shows."""
        found = self.client.get(f"{JOBS}/{path}", headers=self.headers)
        assert found.status_code == 200, found.text
        return json_of(found)

    def post(self, path: str, body: Shown) -> Any:
        """What an act answers."""
        done = self.client.post(f"{JOBS}/{path}", json=body, headers=self.headers)
        assert done.status_code == 200, done.text
        return json_of(done)


@pytest.fixture
def admin(sender: Sender) -> Admin:
    return Admin(sender.app)


def test_an_admin_sees_a_mail_of_another_user_without_its_text(
    sender: Sender, admin: Admin
) -> None:
    shown = sender.send(WELCOME)

    job = admin.get(f"notifications/{shown['notificationId']}")

    assert (job["status"], job["userId"], job["type"]) == ("sent", 7, "email")
    [delivery] = job["deliveries"]
    assert (delivery["number"], delivery["outcome"]) == (1, "sent")
    listed = admin.get("notifications")["items"]
    assert [each["id"] for each in listed] == [shown["notificationId"]]
    limits = sender.client.get(f"{API}/admin/limits/nearest", headers=admin.headers)
    used = {each["rateLimit"]: each["identifier"] for each in json_of(limits)["items"]}
    assert used == {"admin": "user:901", "deliveries": "email:example.com"}
    for text in (json.dumps(job), json.dumps(listed)):
        assert "john" not in text
        assert "token=abc" not in text


@pytest.mark.usefixtures("users")
def test_the_answer_of_a_mail_server_is_shown(make_app: MakeApp, serve: Serve) -> None:
    port = serve(Scripted(**{".": f"451 4.3.0 {'The disk is full' * 50}"}).talk).port
    sender = Sender(make_app(smtp_host="127.0.0.1", smtp_port=port, smtp_security="none"))
    shown = sender.send(WELCOME)

    [delivery] = Admin(sender.app).get(f"notifications/{shown['notificationId']}")["deliveries"]

    assert delivery["outcome"] == "put off"
    assert delivery["answer"].startswith("451 4.3.0 The disk is full")
    assert len(delivery["answer"]) == 200


class TestWebhooks:
    @pytest.fixture
    def sender(self, make_app: MakeApp, users: Users) -> Sender:  # noqa: ARG002  it runs
        return Sender(make_app(webhook_networks="127.0.0.0/8", delivery_backoff_seconds=3600))

    @pytest.fixture
    def url(self, serve: Serve) -> str:
        """A webhook that answers with an error and a text."""
        return serve(Endpoint([response(503, body=b"a secret of theirs")]).talk).url

    def test_the_status_of_a_response_is_shown_and_not_its_body(
        self, sender: Sender, admin: Admin, john: Headers, url: str
    ) -> None:
        sender.register(url, john)
        note = {"channel": "webhook", "recipient": url, "subject": "Hi", "message": "Gate 7"}
        shown = sender.send(note, john)
        sender.accept(DONE)
        sender.deliver()
        webhook_id = json_of(sender.client.get(WEBHOOKS, headers=john))["items"][0]["webhookId"]
        sender.client.post(f"{WEBHOOKS}/{webhook_id}/test", headers=john)
        sender.run_events()

        [event] = [each for each in admin.get("webhook-events")["items"] if each["attempts"] == 1][
            :1
        ]
        jobs = [
            admin.get(f"notifications/{shown['notificationId']}"),
            admin.get(f"webhook-events/{event['id']}"),
        ]

        for job in jobs:
            [delivery] = job["deliveries"]
            assert (delivery["answer"], delivery["outcome"]) == ("503", "put off")
            assert delivery["reason"] == "The endpoint answered 503"
        assert "secret" not in json.dumps(jobs)
        assert "Gate" not in json.dumps(jobs)

    def test_events_belong_to_no_user(self, sender: Sender, admin: Admin) -> None:
        path = f"{JOBS}/webhook-events"

        listed = sender.client.get(f"{path}?userId=7", headers=admin.headers)
        retried = sender.client.post(f"{path}/retry", json={"userId": 7}, headers=admin.headers)

        assert problem_of(listed) == problem_of(retried) == (422, ["userId"])


def test_failed_mails_of_a_user_are_retried(sender: Sender, admin: Admin) -> None:
    sender.accept(WELCOME)
    jobs = sender.services.jobs
    [claim] = jobs.claim(1)
    jobs.expire([claim])  # which fails it

    assert admin.post("notifications/retry", {"userId": 8}) == {
        "count": 0,
        "left": 0,
        "dryRun": False,
    }
    assert admin.post("notifications/retry", {"userId": 7, "dryRun": True})["count"] == 1
    assert admin.post("notifications/retry", {"userId": 7})["count"] == 1

    sender.deliver()
    assert admin.get("notifications?status=sent")["items"][0]["userId"] == 7
    [entry] = sender.services.audit.page().items
    assert (entry.actor, entry.action, entry.target, entry.count) == (
        "user=901",
        "jobs retry",
        "notifications",
        1,
    )
