"""The pages that links in mails lead to. What they do in a browser is tested in tests/e2e."""

import pytest
from flask.testing import FlaskClient

PAGES = ["/account/verify", "/account/reset"]


@pytest.mark.parametrize("page", PAGES)
def test_they_run_nothing_but_their_own_script(client: FlaskClient, page: str) -> None:
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
def test_their_script_and_style_are_asked_for_once(
    client: FlaskClient, name: str, kind: str
) -> None:
    first = client.get(f"/account/{name}")
    again = client.get(f"/account/{name}", headers={"If-None-Match": first.headers["ETag"]})

    assert first.content_type == f"{kind}; charset=utf-8"
    assert again.status_code == 304


@pytest.mark.parametrize("name", ["verify.html", "reset.html", "..", "%2e%2e", "x", "page.js/x"])
def test_there_is_nothing_else(client: FlaskClient, name: str) -> None:
    assert client.get(f"/account/{name}").status_code == 404


def test_openapi_has_none_of_them(client: FlaskClient) -> None:
    described = client.get("/openapi.json").json
    assert described is not None

    assert not [path for path in described["paths"] if path.startswith("/account")]
