"""What User Management accepts about a user, Notification accepts in every event about them."""

import json
import string
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, get_args
from unittest.mock import MagicMock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from common.pyportal_common.fields import Email, Id, Line, PersonName
from tests.apps import module_of

fields = module_of("usermanagement", "fields")
models = module_of("usermanagement", "models")
outbox = module_of("usermanagement", "outbox")
registration = module_of("usermanagement", "users.schemas").Registration
user_update = module_of("usermanagement", "users.schemas").UserUpdate
texts = module_of("notification", "deliveries.texts")
emails = module_of("notification", "deliveries.emails")
new_notification = module_of("notification", "notifications.schemas").NewNotification

_HARD = "=?_ -.'\u3000\u00a0\u200c\u200d\u0301\u0915\u05d0\u5c71\u00df\u0130\U0001f600"


def is_valid(accepted: Any, value: str) -> bool:
    try:
        TypeAdapter(accepted).validate_json(json.dumps(value))
    except ValidationError:
        return False
    return True


def valid(accepted: Any, *strategies: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(*strategies).filter(lambda value: is_valid(accepted, value))


_letters = st.one_of(
    st.sampled_from(string.ascii_letters + string.digits + _HARD),
    st.characters(exclude_categories=["Cs", "Cc"]),
)
addresses = valid(
    Email,
    st.emails(),
    st.builds("{}@{}.example.com".format, st.text(_letters, min_size=1, max_size=8), st.just("x")),
    st.builds("x@{}.com".format, st.text(_letters, min_size=1, max_size=8)),
)
names = valid(PersonName, st.text(_letters, min_size=1, max_size=12))
usernames = st.text(string.ascii_letters + string.digits + "_-", min_size=3, max_size=20)
people: st.SearchStrategy[dict[str, Any]] = st.builds(
    dict, username=usernames, email=addresses, firstName=names, lastName=names
)


class Outbox(outbox.Outbox):  # type: ignore[misc, name-defined]  # loaded under another name
    """Returns the events instead of storing them."""

    def __init__(self) -> None:
        self._public_url = "http://localhost:5001"
        self.database = MagicMock()
        self.database.now.return_value = datetime.now(UTC)

    def publish(self, _tx: Any, _message: Any, body: Any, **_: Any) -> Any:
        return body


def events_about(person: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All events about a user who registers with these values."""
    body = registration.model_validate_json(json.dumps(person | {"password": "x1!kLq9-Zb7w#Pf"}))
    now = datetime.now(UTC)
    user = models.User(id=7, updated_at=now, **body.model_dump(exclude={"password"}))
    events, tx = Outbox(), MagicMock()
    yield events.welcome(tx, user)
    yield events.verification(tx, user)
    yield events.password_reset(tx, user)
    yield events.password_changed(tx, user)
    yield events.email_changed(tx, user, user.email, undoable=True)
    yield events.email_changed(tx, user, user.email, undoable=False)
    for change in get_args(texts.FactorChange):
        yield events.factors_changed(tx, user, change, codes_left=9)
    yield events.factor_removal(tx, user, now)
    yield events.new_login(tx, user, "2001:db8::/64", now)


def deliver(event: dict[str, Any]) -> Any:
    """Do what Notification does with an event. Returns the message."""
    accepted = new_notification.model_validate_json(json.dumps(event))
    text = texts.render(accepted.template, accepted.data)
    sender, preferences = MagicMock(), MagicMock()
    preferences.unsubscribe_link.return_value = None  # these mails are not optional
    channel = emails.EmailChannel(sender, "portal@localhost", preferences)
    channel.send(
        MagicMock(template=accepted.template, data=accepted.data, message_id="1"),
        accepted.recipient,
    )
    (message, _recipient), _ = sender.send.call_args
    assert text.subject
    return message


@settings(max_examples=200, deadline=None)
@given(people)
def test_every_event_about_a_registered_user_is_accepted_and_composed(
    person: dict[str, Any],
) -> None:
    for event in events_about(person):
        assert len(deliver(event).get_all("To")) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"firstName": "\u5c71\u7530\u3000\u592a\u90ce"},  # an ideographic space
        {"firstName": "Jean\u00a0Paul"},  # a space that does not break
        {
            "firstName": "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"
        },  # a joiner, as Persian has
        {"email": "john@b\u00fccher.example.com"},
        {"email": "\u00fcser@example.com"},
    ],
)
def test_a_user_with_an_unusual_name_or_address_gets_e_mails(change: dict[str, Any]) -> None:
    person = {"username": "john_doe", "email": "john@example.com"} | change

    for event in events_about(person):
        deliver(event)


@given(st.one_of(addresses, st.builds("{}?={}@example.com".format, usernames, usernames)))
def test_what_a_change_of_the_address_accepts_notification_accepts(address: str) -> None:
    try:
        email = user_update.model_validate_json(json.dumps({"email": address})).email
    except ValidationError:
        return

    body = {"channel": "email", "recipient": email, "subject": "Hello", "message": "Hello"}
    assert new_notification.model_validate_json(json.dumps(body)).recipient == email


@given(addresses)
def test_a_normalized_address_is_its_own_normal_form(address: str) -> None:
    once = TypeAdapter(Email).validate_python(address)

    assert TypeAdapter(Email).validate_python(once) == once


@given(st.one_of(names, usernames))
def test_every_name_is_a_line(name: str) -> None:
    assert TypeAdapter(Line).validate_python(name) == name


@pytest.mark.parametrize("number", [1, 10**18 - 1])
def test_notification_accepts_every_user_id_of_a_path(number: int) -> None:
    body = {"channel": "email", "userId": number, "subject": "Hello", "message": "Hello"}

    assert TypeAdapter(Id).validate_python(number) == number
    assert new_notification.model_validate_json(json.dumps(body)).user_id == number
