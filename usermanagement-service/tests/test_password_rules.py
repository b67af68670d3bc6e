"""Which passwords there may be, and the fields that ask for one: ASVS 5.0.0, 6.2."""

import re

import pytest
from flask.testing import FlaskClient

from common.pyportal_common.testing.kit import problem_of

from .conftest import JOHN, LOGIN, REGISTER, Headers

PAGES = ("login", "register", "password", "reset", "profile", "profile/delete")
EXPECTED = {"current-password", "new-password"}


def register_with(client: FlaskClient, password: str) -> tuple[int, list[str]]:
    """The status of a registration, and the fields that are wrong."""
    response = client.post(REGISTER, json=JOHN | {"password": password})
    return (201, []) if response.status_code == 201 else problem_of(response)


@pytest.mark.parametrize("password", ["kX9#mQ2", "\u00e4\u00f6\u00fc\u2603x#9"])
def test_seven_characters_are_too_few(client: FlaskClient, password: str) -> None:
    assert register_with(client, password) == (422, ["password"])


@pytest.mark.parametrize(
    "password",
    [
        pytest.param("kX9#mQ2v~", id="9 characters"),
        pytest.param("Quarz jagt 9 Vlies, wo Xanthippe den Bock fuhr und alle schwiegen", id="64"),
        pytest.param("kX9#mQ2v" * 16, id="128"),
        pytest.param("onlysmallletterswithoutanythingelse", id="letters of one case"),
        pytest.param(" spaces around them matter ", id="spaces"),
        pytest.param(
            "\u2603 \U0001f682 \u00df\u0142\u0111 \u4e2d\u6587 \u0623\u0644\u0641", id="any script"
        ),
        pytest.param("a line\nand\tanother one", id="control characters"),
    ],
)
def test_a_password_of_any_characters_logs_in(client: FlaskClient, password: str) -> None:
    assert register_with(client, password) == (201, [])

    for given, status in ((password, 200), (password[:-1], 401), (password.swapcase() + "x", 401)):
        response = client.post(LOGIN, json={"username": JOHN["username"], "password": given})
        assert response.status_code == status


def test_more_than_128_characters_are_refused(client: FlaskClient) -> None:
    assert register_with(client, "kX9#mQ2v" * 16 + "x") == (422, ["password"])


def test_fields_for_passwords_are_masked_and_known_to_password_managers(
    client: FlaskClient, headers: Headers
) -> None:
    fields = []
    for page in PAGES:
        text = client.get(f"/app/{page}", headers=headers).text
        fields += re.findall(r'<input[^>]*name="\w*[pP]assword"[^>]*>', text)

    assert len(fields) >= len(PAGES)
    for field in fields:
        assert 'type="password"' in field
        assert re.search('autocomplete="([^"]*)"', field)[1] in EXPECTED  # type: ignore[index]
        assert "value=" not in field
        assert "onpaste" not in field
