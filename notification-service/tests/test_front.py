"""The pages of the front: the inbox, preferences, webhooks and their deliveries."""

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from app.models import EventDelivery
from app.notifications.page_routes import page_of
from app.services import Services
from common.pyportal_common.testing.browsing import Browser, Form
from common.pyportal_common.testing.front_checks import FrontChecks, Reader
from common.pyportal_common.testing.kit import API, bearer, json_of, session_headers

HOOK = "https://example.com/hook"


def session_id_of(user_id: int) -> str:
    return session_headers(user_id)["Authorization"].removeprefix("Bearer ")


@pytest.fixture
def browser(client: FlaskClient) -> Browser:
    return Browser.of(client, session_id=session_id_of(7))


def test_a_webhook_is_added_tested_disabled_and_deleted(browser: Browser) -> None:
    browser.open("/app/webhooks")
    browser.press("Add", url="https://example.com/hook", eventTypes=["booking.confirmed"])
    assert "whsec_" in browser.page.text
    browser.click("To the webhook")
    browser.press("Send a test")
    assert "A test event is on its way." in browser.page.text
    assert "webhook.test" in browser.page.text
    browser.press("Disable")
    assert "You have disabled it" in browser.page.text
    browser.press("Enable")
    browser.click("Delete")
    browser.press("Delete the webhook")
    assert "You have none." in browser.page.text


def test_preferences_are_changed(browser: Browser) -> None:
    browser.open("/app/preferences")
    browser.press("Save", wanted=["tasks.email", "messages.webhook"])

    form = browser.page.form("Save")
    assert {*form.fields["wanted"]} == {
        "tasks.email", "messages.webhook", "security.email", "security.webhook",
    }  # fmt: skip


def test_a_hostile_notification_is_text_and_is_marked_as_read(
    browser: Browser, client: FlaskClient
) -> None:
    hostile = "<script>alert(1)</script>"
    new = {"channel": "webhook", "recipient": HOOK, "subject": hostile, "message": hostile}
    browser.open("/app/webhooks")
    browser.press("Add", url=HOOK)
    session_id = browser.cookies["__Host-session"]
    sent = client.post(f"{API}/notifications", json=new, headers=bearer(session_id))
    assert sent.status_code == 202, sent.text

    page = browser.open("/app/inbox")

    assert page.heading == "Inbox 1 unread"
    assert f"{hostile} unread {hostile}" in page.text
    assert "<script>alert" not in page.reply.text
    browser.press("Mark as read")
    assert browser.page.heading == "Inbox"
    assert "No unread notification." in browser.press("Show", unread="true").text


def test_notifications_of_others_do_not_exist(browser: Browser, client: FlaskClient) -> None:
    new = {"channel": "webhook", "recipient": HOOK, "subject": "Hers", "message": "x"}
    jane = Browser.of(client, session_id=session_id_of(8))
    jane.open("/app/webhooks")
    jane.press("Add", url=HOOK)
    hers = session_id_of(8)
    sent = client.post(f"{API}/notifications", json=new, headers=bearer(hers))
    notification_id = json_of(sent)["notification"]["notificationId"]

    assert "Hers" not in browser.open("/app/inbox").text
    browser.page.forms.append(Form(f"/app/inbox/{notification_id}/read", "post", buttons=["x"]))
    browser.press("x", status=404)
    assert jane.open("/app/inbox").heading == "Inbox 1 unread"


def test_webhooks_of_others_do_not_exist(browser: Browser, client: FlaskClient) -> None:
    jane = Browser.of(client, session_id=session_id_of(8))
    jane.open("/app/webhooks")
    jane.press("Add", url=HOOK)
    path = jane.click("To the webhook").url

    for more in ("", "/secret", "/delete"):
        browser.open(f"{path}{more}", status=404)
    acts = ("", "/test", "/enable", "/disable", "/secret", "/recover", "/delete")
    for more in (*acts, "/deliveries/1/retry"):
        browser.page.forms.append(Form(f"{path}{more}", "post", buttons=["x"]))
        browser.press("x", status=404)
    assert jane.open(path).heading == HOOK


def test_what_is_wrong_with_a_webhook_is_said_at_its_field(browser: Browser) -> None:
    browser.open("/app/webhooks")

    page = browser.press("Add", url="javascript:alert(1)", status=422)

    assert "Must begin with https:// or http://" in page.text
    browser.press("Add", url=HOOK, eventTypes=["booking.confirmed"])
    browser.open("/app/webhooks")
    page = browser.press("Add", url=HOOK, eventTypes=["booking.cancelled"], status=409)
    assert "Already registered" in page.text
    assert page.form("Add").fields["eventTypes"] == ["booking.cancelled"]


def test_a_new_secret_is_shown_once(browser: Browser) -> None:
    browser.open("/app/webhooks")
    first = browser.press("Add", url=HOOK).text.partition("whsec_")[2].split()[0]
    browser.click("To the webhook")
    browser.click("Replace the secret")

    second = browser.press("Replace the secret").text.partition("whsec_")[2].split()[0]

    assert first != second
    assert "whsec_" not in browser.click("To the webhook").reply.text


def test_the_attempts_of_a_delivery_are_shown_and_a_failed_one_is_retried(
    browser: Browser, services: Services
) -> None:
    browser.open("/app/webhooks")
    browser.press("Add", url=HOOK)
    path = browser.click("To the webhook").url
    browser.press("Send a test")
    with services.database.begin(changes_cached=False) as tx:
        delivery = tx.scalars(select(EventDelivery)).one()
        delivery.status, delivery.error = EventDelivery.STATES.failed, "<b>It rains</b>"

    assert "<b>It rains" not in browser.open(path).reply.text
    assert "<b>It rains</b>" in browser.page.text
    browser.press("Retry")

    assert "The event is sent again." in browser.page.text
    assert "queued" in browser.page.text


def test_a_task_leads_to_its_page(app: Flask) -> None:
    with app.test_request_context("/app/inbox"):
        assert page_of({"link": "/api/v1/airliner/tasks/42"}) == "/app/bookings/42"
        assert page_of({"link": None}) is None


class TestFront(FrontChecks):
    """What holds for the pages of all services."""

    @pytest.fixture
    def reader(self, browser: Browser) -> Reader:
        browser.open("/app/webhooks")
        browser.press("Add", url=HOOK)
        webhook_id = browser.click("To the webhook").url.rpartition("/")[2]
        return bearer(browser.cookies["__Host-session"]), {"webhook_id": webhook_id}
