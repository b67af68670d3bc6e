"""Removing the second factors of users who have lost them."""

from datetime import datetime, timedelta

import pytest
from flask.testing import FlaskClient

from app.services import Services
from common.pyportal_common.db import AuditFilter
from common.pyportal_common.testing.kit import API, bearer, json_of, run_schedule

from .conftest import (
    JANE,
    Headers,
    Json,
    age_login,
    mails_in,
    register,
    session_of,
    token_in,
    user_path,
)
from .factors import App, add_app, code_of, log_in_with

REMOVAL = "factors/removal"
KEEP = f"{API}/factors/keep"


@pytest.fixture
def app_of_john(client: FlaskClient, headers: Headers) -> App:
    """John's authenticator app, which he will lose."""
    return add_app(client, headers)


@pytest.fixture
def admin(client: FlaskClient, services: Services) -> Headers:
    """Headers of an admin."""
    register(client, JANE)
    services.users.set_role("jane_doe", "admin")
    return bearer(session_of(client, "jane_doe"))


def pass_time(services: Services, monkeypatch: pytest.MonkeyPatch, **time: int) -> None:
    """Run the schedule as of a later time."""
    later = services.database.now() + timedelta(**time)
    with monkeypatch.context() as patch:
        patch.setattr(services.database, "now", lambda: later)
        patch.setattr("app.factors.removals.current_time", lambda _: later)
        run_schedule(services, "remove-factors")


def test_the_factors_are_removed_after_the_waiting_time(
    client: FlaskClient, services: Services, john: Json, app_of_john: App, admin: Headers,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    response = client.put(user_path(john, REMOVAL), headers=admin)
    removal = json_of(response)

    pass_time(services, monkeypatch, hours=71)
    assert log_in_with(client).status_code == 401
    pass_time(services, monkeypatch, hours=73)

    due, requested = (datetime.fromisoformat(removal[name]) for name in ("dueAt", "requestedAt"))
    assert due - requested == timedelta(hours=72)
    assert client.get(f"{API}/session", headers=app_of_john.headers).status_code == 401
    assert log_in_with(client).status_code == 200
    changes = [mail["data"]["change"] for mail in mails_in(services, "factors_changed")]
    assert changes == ["app_added", "removed_by_admin"]


def test_it_is_recorded_and_mailed_at_once(
    client: FlaskClient, services: Services, john: Json, app_of_john: App, admin: Headers
) -> None:
    client.put(user_path(john, REMOVAL), headers=admin)

    (entry,) = services.audit.page(AuditFilter(action="factors remove")).items
    assert entry.target == f"user={john['id']}"
    (mail,) = mails_in(services, "factor_removal")
    assert mail["recipient"] == john["email"]
    shown = json_of(client.get(f"{API}/factors", headers=app_of_john.headers))
    assert shown["removal"]["dueAt"] == mail["data"]["dueAt"]


def test_a_repeated_request_does_not_change_the_time(
    client: FlaskClient,
    services: Services,
    john: Json,
    app_of_john: App,  # noqa: ARG001
    admin: Headers,
) -> None:
    first, second = (json_of(client.put(user_path(john, REMOVAL), headers=admin)) for _ in "ab")

    assert first == second
    assert len(mails_in(services, "factor_removal")) == 2


def test_the_user_cancels_it_in_a_session(
    client: FlaskClient, services: Services, john: Json, app_of_john: App, admin: Headers,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    client.put(user_path(john, REMOVAL), headers=admin)
    age_login(services, app_of_john.headers)  # the safe direction needs no fresh login

    path = f"{API}/users/me/{REMOVAL}"
    assert client.delete(path, headers=app_of_john.headers).status_code == 204

    pass_time(services, monkeypatch, hours=73)
    assert log_in_with(client).status_code == 401
    assert client.delete(path, headers=app_of_john.headers).status_code == 404


def test_the_user_cancels_it_by_the_mailed_link(
    client: FlaskClient, services: Services, john: Json, app_of_john: App, admin: Headers,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    client.put(user_path(john, REMOVAL), headers=admin)
    token = {"token": token_in(mails_in(services, "factor_removal")[0])}

    statuses = [client.post(KEEP, json=token).status_code for _ in range(2)]

    pass_time(services, monkeypatch, hours=73)
    assert statuses == [204, 400]
    assert log_in_with(client).status_code == 401
    assert log_in_with(client, code=code_of(app_of_john.secret)).status_code == 200
    changes = [mail["data"]["change"] for mail in mails_in(services, "factors_changed")]
    assert changes == ["app_added", "removal_cancelled"]


def test_an_admin_cancels_it(
    client: FlaskClient,
    services: Services,
    john: Json,
    app_of_john: App,  # noqa: ARG001
    admin: Headers,
) -> None:
    client.put(user_path(john, REMOVAL), headers=admin)

    assert client.delete(user_path(john, REMOVAL), headers=admin).status_code == 204

    assert len(services.audit.page(AuditFilter(action="factors keep")).items) == 1


def test_only_admins_with_a_fresh_login_request_it(
    client: FlaskClient, services: Services, john: Json, app_of_john: App, admin: Headers
) -> None:
    path = user_path(john, REMOVAL)
    assert client.put(path, headers=app_of_john.headers).status_code == 403
    age_login(services, admin)
    assert client.put(path, headers=admin).status_code == 401
    assert client.delete(path, headers=admin).status_code == 401


def test_an_admin_with_a_factor_must_have_proven_it(
    client: FlaskClient,
    john: Json,
    app_of_john: App,  # noqa: ARG001
    admin: Headers,
) -> None:
    other = bearer(session_of(client, "jane_doe"))
    own = add_app(client, admin)

    assert client.put(user_path(john, REMOVAL), headers=other).status_code == 401
    assert client.put(user_path(john, REMOVAL), headers=own.headers).status_code == 200


def test_there_must_be_a_factor_and_a_user(client: FlaskClient, john: Json, admin: Headers) -> None:
    assert client.put(user_path(john, REMOVAL), headers=admin).status_code == 409
    assert client.put(f"{API}/users/999999/{REMOVAL}", headers=admin).status_code == 404


def test_a_user_who_removes_the_factor_ends_the_removal(
    client: FlaskClient, john: Json, app_of_john: App, admin: Headers
) -> None:
    client.put(user_path(john, REMOVAL), headers=admin)
    client.delete(f"{API}/factors/app", headers=app_of_john.headers)

    assert client.delete(user_path(john, REMOVAL), headers=admin).status_code == 404


def test_admins_see_the_factors_of_a_user_and_that_is_recorded(
    client: FlaskClient,
    services: Services,
    john: Json,
    app_of_john: App,  # noqa: ARG001
    admin: Headers,
) -> None:
    shown = json_of(client.get(user_path(john, "factors"), headers=admin))

    assert shown["backupCodesLeft"] == 10
    assert len(services.audit.page(AuditFilter(action="factors show")).items) == 1


def test_a_deleted_user_leaves_nothing(
    client: FlaskClient, services: Services, john: Json, app_of_john: App, admin: Headers,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    client.put(user_path(john, REMOVAL), headers=admin)

    assert client.delete(f"{API}/users/me", headers=app_of_john.headers).status_code == 204

    pass_time(services, monkeypatch, hours=73)
    assert mails_in(services, "factors_changed") == []
