"""PATH_PREFIX: a service below a path of an origin that it shares with others."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask, Response, url_for
from flask.testing import FlaskClient

from common.pyportal_common.settings import ConfigurationError, ServiceSettings
from common.pyportal_common.web import Page, View, responses
from common.pyportal_common.web.responses import with_next_link

from .load import ROOT

SETTINGS = {"path_prefix": "/things"}


class Thing(View):
    thing_id: int


@pytest.fixture
def client(make_service: Callable[..., Flask]) -> FlaskClient:
    app = make_service(ServiceSettings.load(**SETTINGS), title="Things")

    @app.get("/api/things")
    @responses(Page[Thing])
    def show() -> Response:
        """List the things."""
        response = Response("{}", headers={"Location": url_for("show")})
        return with_next_link(response, "7")

    return app.test_client()


@pytest.mark.parametrize("prefix", ["", "/things"])
def test_links_have_the_prefix_if_the_request_had_it(client: FlaskClient, prefix: str) -> None:
    response = client.get(f"{prefix}/api/things")

    assert response.headers["Location"] == f"{prefix}/api/things"
    assert response.headers["Link"] == f'<{prefix}/api/things?cursor=7>; rel="next"'


@pytest.mark.parametrize("prefix", ["", "/things"])
def test_pages_lead_to_pages_with_the_same_prefix(client: FlaskClient, prefix: str) -> None:
    described = client.get(f"{prefix}/").json or {}
    page = client.get(f"{prefix}/problems").text

    paths = [described["docs"], described["openapi"], described["health"]]
    paths += re.findall(r'(?:href|src)="(/[^"]*)"', page)
    assert len(paths) > 5
    for path in paths:
        assert path.startswith(f"{prefix}/")
        assert client.get(path).status_code == 200


def test_the_documentation_names_the_address_that_it_was_asked_at(client: FlaskClient) -> None:
    plain, prefixed = (client.get(f"{root}/openapi.json").json or {} for root in ("", "/things"))

    assert plain["servers"] == [{"url": "/"}]
    assert prefixed["servers"] == [{"url": "/things"}]
    assert prefixed["paths"] == plain["paths"]


def test_the_prefix_is_a_whole_part_of_the_path_and_removed_once(client: FlaskClient) -> None:
    for path in ("/thingsx/livez", "/things/things/livez", "/other/livez"):
        assert client.get(path).status_code == 404
    assert client.get("/things").status_code in {200, 308}


def test_no_header_is_a_prefix(make_service: Callable[..., Flask]) -> None:
    client = make_service(ServiceSettings.load(proxy_hops=1), title="Things").test_client()

    described = client.get("/", headers={"X-Forwarded-Prefix": "/things"}).json or {}

    assert described["docs"] == "/docs"


@pytest.mark.parametrize("prefix", ["/livez", "/docs", "/problems"])
def test_a_prefix_that_is_a_path_of_the_service_is_refused(
    make_service: Callable[..., Flask], prefix: str
) -> None:
    with pytest.raises(ConfigurationError, match=f"^PATH_PREFIX: the service .*{prefix}"):
        make_service(ServiceSettings.load(path_prefix=prefix))


@pytest.mark.parametrize("prefix", ["/console", "/api"])
def test_a_service_does_not_start_below_a_path_of_its_own(tmp_path: Path, prefix: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "flask", "--app", "wsgi", "routes"],
        cwd=ROOT / "usermanagement-service",
        env={"DATA_DIR": str(tmp_path), "PATH_PREFIX": prefix, "CONSOLE": "on"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 1
    assert re.fullmatch(rf"PATH_PREFIX: the service itself has the path {prefix}\S*\n", done.stderr)


@pytest.mark.parametrize("prefix", ["things", "/things/", "/", "/a/b", "//a", "/a b", "/a?b"])
def test_a_prefix_is_one_part_of_a_path(prefix: str) -> None:
    with pytest.raises(ConfigurationError, match="PATH_PREFIX"):
        ServiceSettings.load(path_prefix=prefix)
