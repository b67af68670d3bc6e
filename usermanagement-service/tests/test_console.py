"""The console of the service: see `ConsoleChecks`."""

import pytest
from flask.testing import FlaskClient

from common.pyportal_common.testing.console_checks import ConsoleChecks
from common.pyportal_common.testing.kit import session_headers

from .conftest import Json


class TestConsole(ConsoleChecks):
    """Its pages and acts."""

    @pytest.mark.parametrize("name", ["john_doe", "JOHN_doe", "john@example.com"])
    def test_the_sessions_of_a_user_are_found_by_name(
        self, browser: FlaskClient, john: Json, name: str
    ) -> None:
        session_headers(john["id"])
        admin = session_headers(1000, role="admin", username="jane")

        page = browser.get("/console/sessions", query_string={"user": name}, headers=admin)

        assert f"Sessions of user {john['id']}" in page.text
        assert "End all" in page.text
