"""The pages that links in e-mails open. tests/e2e tests them in a browser."""

import pytest
from flask.testing import FlaskClient

from common.pyportal_common.testing.kit import json_of


@pytest.mark.parametrize(
    "page", ["/account/verify", "/account/reset", "/account/undo", "/account/keep"]
)
def test_a_page_runs_only_its_own_script(client: FlaskClient, page: str) -> None:
    response = client.get(page)

    assert response.status_code == 200
    assert response.content_type == "text/html; charset=utf-8"
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'; script-src 'self'" in policy
    assert "unsafe" not in policy
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    for inline in ("<script>", "<style", "style=", "onclick", "onsubmit"):
        assert inline not in response.text


@pytest.mark.parametrize(
    ("name", "kind"), [("page.js", "text/javascript"), ("page.css", "text/css")]
)
def test_an_unchanged_asset_is_a_304(client: FlaskClient, name: str, kind: str) -> None:
    first = client.get(f"/account/{name}")
    again = client.get(f"/account/{name}", headers={"If-None-Match": first.headers["ETag"]})

    assert first.content_type == f"{kind}; charset=utf-8"
    assert again.status_code == 304


@pytest.mark.parametrize(
    "name",
    ["verify.html", "reset.html", "undo.html", "keep.html", "..", "%2e%2e", "x", "page.js/x"],
)
def test_other_names_are_a_404(client: FlaskClient, name: str) -> None:
    assert client.get(f"/account/{name}").status_code == 404


def test_openapi_does_not_contain_the_pages(client: FlaskClient) -> None:
    paths = json_of(client.get("/openapi.json"))["paths"]

    assert not [path for path in paths if path.startswith("/account")]
