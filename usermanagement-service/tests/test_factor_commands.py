"""The commands of operators for second factors, and what doctor says about their keys."""

import json

import pytest
from flask import Flask
from flask.testing import FlaskClient

from common.pyportal_common.db import AuditFilter

from .conftest import FACTOR_KEYS, Headers, MakeApp, mails_in, services_of
from .factors import App, add_app, code_of, log_in_with

NEW_KEY = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="


@pytest.fixture
def app_of_john(client: FlaskClient, headers: Headers) -> App:
    """John's authenticator app."""
    return add_app(client, headers)


def run(app: Flask, *args: str) -> tuple[int, str]:
    result = app.test_cli_runner().invoke(args=list(args))
    return result.exit_code, result.output


def seeds_finding(app: Flask) -> tuple[str, str]:
    _, printed = run(app, "doctor", "--json")
    findings = json.loads(printed)["items"]
    [found] = (each for each in findings if each["check"] == "seeds")
    return found["state"], found["text"]


def test_a_removal_is_requested_and_recorded(app: Flask, app_of_john: App) -> None:  # noqa: ARG001
    status, printed = run(app, "users", "remove-factors", "--username", "john_doe", "--by", "ops")

    assert status == 0
    assert "second factors of john_doe are removed at" in printed
    (entry,) = services_of(app).audit.page(AuditFilter(action="factors remove")).items
    assert entry.actor == "ops"
    assert len(mails_in(services_of(app), "factor_removal")) == 1


@pytest.mark.usefixtures("john")
def test_who_has_no_factor_is_told_so_and_who_is_unknown_is_an_error(app: Flask) -> None:
    for name, status, text in (
        ("john_doe", 0, "john_doe has no second factor."),
        ("nobody", 1, "There is no user nobody"),
    ):
        found, printed = run(app, "users", "remove-factors", "--username", name)

        assert found == status
        assert text in printed


def test_keys_are_rotated_without_a_gap(make_app: MakeApp, app_of_john: App) -> None:
    both = make_app(factor_keys=f"{NEW_KEY},{FACTOR_KEYS}")
    client = both.test_client(use_cookies=False)
    assert log_in_with(client, code=code_of(app_of_john.secret)).status_code == 200

    first, again = (run(both, "users", "encrypt-seeds") for _ in range(2))

    assert first == (0, "1 seeds are now encrypted with the first key.\n")
    assert again == (0, "0 seeds are now encrypted with the first key.\n")
    new = make_app(factor_keys=NEW_KEY)
    client = new.test_client(use_cookies=False)
    assert log_in_with(client, code=app_of_john.next_code()).status_code == 200
    assert seeds_finding(new)[0] == "ok"


def test_a_missing_key_is_found(make_app: MakeApp, app_of_john: App) -> None:  # noqa: ARG001
    other = make_app(factor_keys=NEW_KEY)

    assert seeds_finding(other) == (
        "wrong",
        "1 of 1 seeds of authenticator apps cannot be read",
    )
    status, printed = run(other, "users", "encrypt-seeds")
    assert status == 1
    assert "1 seeds need a key" in printed


def test_without_a_key_nothing_is_encrypted(make_app: MakeApp) -> None:
    app = make_app(factor_keys="")

    assert run(app, "users", "encrypt-seeds")[0] == 1
    assert seeds_finding(app)[0] == "ok"
