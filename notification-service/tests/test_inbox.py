"""The inbox: what notifications show to their users, and which of them are read."""

from typing import Any

import pytest
from sqlalchemy import insert

from app.models import Notification
from common.pyportal_common.testing.kit import API, json_of, problem_of
from common.pyportal_common.testing.recorded import MOMENT

from .conftest import DONE, NOTE, WELCOME, Headers
from .sender import NOTIFICATIONS, SERVICE, Sender, Shown


def inbox(sender: Sender, headers: Headers, query: str = "") -> list[Shown]:
    """The user's notifications."""
    items: list[Shown] = json_of(sender.client.get(NOTIFICATIONS + query, headers=headers))["items"]
    return items


def unread(sender: Sender, headers: Headers) -> int:
    """The number of unread notifications."""
    found = json_of(sender.client.get(f"{NOTIFICATIONS}/unread", headers=headers))
    return int(found["unread"])


def read(sender: Sender, shown: Shown, headers: Headers) -> Any:
    """Mark a notification as read."""
    return sender.client.post(f"{NOTIFICATIONS}/{shown['notificationId']}/read", headers=headers)


def row(number: int, **changes: Any) -> Shown:
    """The row of a sent e-mail to user 7; the first is to user 8."""
    return {
        "message_id": f"message-{number}",
        "source": "usermanagement",
        "user_id": 8 if number == 0 else 7,
        "channel": "email",
        "data": {},
        "status": "sent",
        "priority": "normal",
        "progress": 100,
        "attempts": 1,
        "created_at": MOMENT,
        "updated_at": MOMENT,
        "read_at": None,
        **changes,
    }


def insert_rows(sender: Sender, rows: list[Shown]) -> None:
    """Insert notifications that nobody has cached."""
    with sender.services.database.begin() as tx:
        tx.execute(insert(Notification), rows, execution_options={"cache_keys": ()})


class TestTexts:
    @pytest.mark.parametrize(
        ("body", "title", "text", "link"),
        [
            (
                DONE,
                "Your flight is booked (TASK-8F3K2M9QXA)",
                "PY101 from ZRH to LIS, seats: 2.",
                f"{API}/tasks/42",
            ),
            (
                WELCOME,
                "Welcome to the portal, john_doe",
                "Please confirm your e-mail address: we have sent you a link.",
                None,
            ),
            (NOTE | {"userId": 7}, "Admission", "It is gate 7.", None),
            (
                NOTE | {"userId": 7, "message": "long\n\n\tlines " + "x" * 300},
                "Admission",
                "long lines " + "x" * 188 + "…",
                None,
            ),
        ],
    )
    def test_list_shows_title_text_and_link_also_after_it_is_sent(
        self,
        sender: Sender,
        john: Headers,
        body: Shown,
        title: str,
        text: str,
        link: str | None,
    ) -> None:
        sender.send(body)

        (shown,) = inbox(sender, john)

        assert (shown["title"], shown["text"], shown["link"]) == (title, text, link)
        assert (shown["status"], shown["readAt"]) == ("sent", None)

    def test_secret_links_are_not_in_the_inbox(self, sender: Sender, john: Headers) -> None:
        secret = "http://localhost:5001/app/reset#token=secret"
        data = {"username": "john_doe", "resetUrl": secret}
        sender.accept(WELCOME)
        sender.accept(WELCOME | {"template": "password_reset", "data": data})
        data = {"username": "john_doe", "verifyUrl": secret}
        sender.accept(WELCOME | {"template": "email_verification", "data": data})

        listed = sender.client.get(NOTIFICATIONS, headers=john).text

        assert "token" not in listed
        assert len(inbox(sender, john)) == 3


class TestReading:
    def test_one_is_marked_as_read_once_and_every_view_shows_it(
        self, sender: Sender, john: Headers
    ) -> None:
        first, second = (sender.accept(NOTE | {"userId": 7}) for _ in range(2))
        assert unread(sender, john) == len(inbox(sender, john)) == 2

        marked = [json_of(read(sender, first, john))["notification"] for _ in range(2)]

        assert marked[0]["readAt"] is not None
        assert marked[0] == marked[1]
        assert [each["readAt"] for each in inbox(sender, john)] == [None, marked[0]["readAt"]]
        path = f"{NOTIFICATIONS}/{first['notificationId']}"
        shown = json_of(sender.client.get(path, headers=john))["notification"]
        assert shown == marked[0]
        assert unread(sender, john) == 1
        assert inbox(sender, john, "?unread=true")[0]["notificationId"] == second["notificationId"]
        assert inbox(sender, john, "?unread=false")[0] == marked[0]

    def test_all_are_marked_as_read(self, sender: Sender, john: Headers, jane: Headers) -> None:
        insert_rows(sender, [row(number) for number in range(1102)])
        assert unread(sender, john) == 1000  # at most
        inbox(sender, john)

        marked = sender.client.post(f"{NOTIFICATIONS}/read", headers=john)

        assert (marked.status_code, marked.json) == (200, {"unread": 0})
        assert unread(sender, john) == 0
        assert all(each["readAt"] for each in inbox(sender, john))
        assert unread(sender, jane) == 1

    def test_nobody_else_marks_it(self, sender: Sender, jane: Headers) -> None:
        sent = sender.accept(NOTE | {"userId": 7})

        assert read(sender, sent, jane).status_code == 404
        assert read(sender, sent, SERVICE).status_code == 401
        assert read(sender, {"notificationId": 999}, jane).status_code == 404

    def test_filter_is_true_or_false(self, sender: Sender, john: Headers) -> None:
        refused = sender.client.get(f"{NOTIFICATIONS}?unread=1", headers=john)

        assert problem_of(refused) == (422, ["unread"])

    def test_rare_ones_are_found_page_by_page_whatever_the_filters(
        self, sender: Sender, john: Headers
    ) -> None:
        rare = {"channel": "webhook", "read_at": MOMENT, "status": "failed"}
        rows = [row(number, **(rare if number in (5, 2400) else {})) for number in range(2500)]
        rows[100] |= {"status": "failed"}
        insert_rows(sender, rows)

        def pages(query: str) -> list[int]:
            """The number of items on each page."""
            path: str | None = f"{NOTIFICATIONS}?{query}"
            found = []
            while path is not None:
                page = sender.client.get(path, headers=john)
                found.append(len(json_of(page)["items"]))
                link = page.headers.get("Link")
                path = link and link[1 : link.index(">")]
            return found

        assert pages("channel=webhook") == pages("unread=false") == [1, 0, 1]
        assert pages("status=sent&channel=webhook") == [0, 0, 0]
        assert pages("status=failed&channel=webhook") == pages("status=failed&unread=false") == [2]
        assert pages("status=failed") == [3]
        assert pages("unread=true&status=failed") == [0, 0, 1]
        assert pages("unread=true&channel=email&limit=100") == [100] * 24 + [97]
