"""Preferences: what users turn off, in the portal and by one click in an e-mail."""

import re
from urllib.parse import urlsplit

import pytest

from app.deliveries.texts import TEMPLATES
from app.models import Notification
from app.preferences.categories import CATEGORIES, REQUIRED, category_of
from common.pyportal_common.settings import ConfigurationError
from common.pyportal_common.testing.kit import API, json_of, problem_of

from .conftest import DONE, NOTE, WELCOME, Headers, MakeApp, Users, mails_in
from .sender import NOTIFICATIONS, SERVICE, Sender, Shown

PREFERENCES = f"{NOTIFICATIONS}/preferences"
ONE_CLICK = {"data": {"List-Unsubscribe": "One-Click"}}


def change(sender: Sender, headers: Headers, *changes: tuple[str, str, bool]) -> list[Shown]:
    """Change preferences. Returns all of them."""
    body = {
        "preferences": [
            {"category": category, "channel": channel, "enabled": enabled}
            for category, channel, enabled in changes
        ]
    }
    changed = sender.client.patch(PREFERENCES, json=body, headers=headers)
    assert changed.status_code == 200, changed.text
    shown: list[Shown] = json_of(changed)["preferences"]
    return shown


def turned_off(sender: Sender, headers: Headers) -> set[tuple[str, str]]:
    """The categories and channels that the user has turned off."""
    shown = json_of(sender.client.get(PREFERENCES, headers=headers))["preferences"]
    return {(each["category"], each["channel"]) for each in shown if not each["enabled"]}


def link_in(sender: Sender) -> str:
    """The path that unsubscribes, with its token, in the newest e-mail as it was sent."""
    newest = max((sender.data_dir / "mail").glob("*.eml"), key=lambda file: file.stat().st_mtime_ns)
    raw = newest.read_bytes().decode()
    assert "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in raw
    found = re.search(r"^List-Unsubscribe:\s+<(\S+)>\r$", raw, re.MULTILINE)
    assert found is not None, raw
    url = urlsplit(found[1])
    return f"{url.path}?{url.query}"


class TestPreferences:
    def test_what_is_turned_off_is_suppressed_and_listed(
        self, sender: Sender, john: Headers, jane: Headers
    ) -> None:
        assert turned_off(sender, john) == set()
        shown = change(sender, john, ("tasks", "email", False))

        sent = sender.send(DONE)
        janes = sender.send(DONE | {"userId": 8})

        assert len(shown) == len(CATEGORIES) * 2
        assert turned_off(sender, john) == {("tasks", "email")}
        assert sender.status_of(sent) == ("suppressed", 1, "The user has turned this off")
        assert json_of(sender.client.get(NOTIFICATIONS, headers=john))["items"][0]["title"]
        assert sender.status_of(janes)[0] == "sent"
        assert turned_off(sender, jane) == set()

    def test_it_is_turned_on_again_and_changes_are_safe_to_repeat(
        self, sender: Sender, john: Headers
    ) -> None:
        for _ in range(2):
            change(sender, john, ("tasks", "email", False), ("messages", "webhook", False))
        for _ in range(2):
            change(sender, john, ("tasks", "email", True))

        assert turned_off(sender, john) == {("messages", "webhook")}
        assert sender.status_of(sender.send(DONE))[0] == "sent"

    def test_security_and_own_messages_always_arrive(self, sender: Sender, john: Headers) -> None:
        change(sender, john, *((name, "email", False) for name in CATEGORIES if name != REQUIRED))

        sent = [sender.send(WELCOME), sender.send(NOTE, john)]

        assert [sender.status_of(each)[0] for each in sent] == ["sent", "sent"]

    @pytest.mark.parametrize(
        ("wrong", "field"),
        [
            ({"category": "security", "enabled": False}, "preferences.0.enabled"),
            ({"category": "other"}, "preferences.0.category"),
            ({"channel": "sms"}, "preferences.0.channel"),
            ({"enabled": "no"}, "preferences.0.enabled"),
        ],
    )
    def test_invalid_changes_are_refused(
        self, sender: Sender, john: Headers, wrong: Shown, field: str
    ) -> None:
        item = {"category": "tasks", "channel": "email", "enabled": True} | wrong

        refused = sender.client.patch(PREFERENCES, json={"preferences": [item]}, headers=john)

        assert problem_of(refused) == (422, [field])

    def test_every_template_has_a_category(self) -> None:
        categories = {
            name: category_of(Notification(source="usermanagement", template=name))
            for name in TEMPLATES
        }

        optional = {name for name, category in categories.items() if category != REQUIRED}
        assert optional == {"task_completed", "task_failed", "webhook_disabled"}


class TestUnsubscribing:
    def test_one_click_turns_a_category_off_without_a_login(
        self, sender: Sender, john: Headers, jane: Headers
    ) -> None:
        sender.send(DONE)
        link = link_in(sender)

        answers = [sender.client.post(link, **ONE_CLICK) for _ in range(2)]

        assert [answer.status_code for answer in answers] == [204, 204]
        assert turned_off(sender, john) == {("tasks", "email")}
        assert turned_off(sender, jane) == set()

    def test_link_works_at_other_processes_and_cannot_be_followed_by_get(
        self, sender: Sender, make_app: MakeApp, john: Headers
    ) -> None:
        sender.send(DONE)
        link = link_in(sender)
        other = make_app().test_client(use_cookies=False)

        assert other.get(link).status_code == 405
        assert turned_off(sender, john) == set()
        assert other.post(link, **ONE_CLICK).status_code == 204
        assert turned_off(sender, john) == {("tasks", "email")}

    def test_changed_tokens_are_refused(self, sender: Sender, john: Headers, jane: Headers) -> None:
        sender.send(DONE)
        path, _, token = link_in(sender).partition("?token=")
        user, category, signature = token.split(".")
        forged = [
            f"8.{category}.{signature}",
            f"{user}.messages.{signature}",
            f"{user}.{category}.{signature[:-1]}{'A' if signature[-1] != 'A' else 'B'}",
            f"{user}.{category}.",
            "x",
            "",
        ]

        answers = [sender.client.post(path, query_string={"token": each}) for each in forged]

        assert [problem_of(answer) for answer in answers] == [(400, ["token"])] * len(forged)
        assert turned_off(sender, john) == turned_off(sender, jane) == set()

    def test_required_and_own_mails_have_no_link(self, sender: Sender, john: Headers) -> None:
        sender.send(WELCOME)
        sender.send(NOTE, john)

        for mail in mails_in(sender.data_dir):
            assert mail["List-Unsubscribe"] is mail["List-Unsubscribe-Post"] is None

    def test_link_leads_to_the_public_address(self, make_app: MakeApp, users: Users) -> None:  # noqa: ARG002
        sender = Sender(make_app(public_url="https://portal.example"))
        sender.send(DONE)

        (mail,) = mails_in(sender.data_dir)
        assert mail["List-Unsubscribe"].startswith(f"<https://portal.example{API}/notifications/")
        with pytest.raises(ConfigurationError, match="UNSUBSCRIBE_URL"):
            make_app(unsubscribe_url="portal.example")

    def test_deleted_user_leaves_no_preferences(self, sender: Sender, john: Headers) -> None:
        change(sender, john, ("tasks", "email", False))

        sender.client.post(f"{API}/users/7/anonymise", headers=SERVICE)

        assert turned_off(sender, john) == set()
