"""Where links in old e-mails lead. The pages themselves are those of the front."""

import pytest
from flask.testing import FlaskClient


@pytest.mark.parametrize("purpose", ["verify", "reset", "undo"])
def test_a_link_of_an_old_mail_leads_to_its_page(client: FlaskClient, purpose: str) -> None:
    response = client.get(f"/account/{purpose}")

    assert (response.status_code, response.headers["Location"]) == (303, f"/app/{purpose}")


@pytest.mark.parametrize("name", ["verify.html", "..", "%2e%2e", "x", "page.js"])
def test_other_names_are_a_404(client: FlaskClient, name: str) -> None:
    assert client.get(f"/account/{name}").status_code == 404
