"""The files of the pages: unchanged, small, and none from elsewhere."""

import base64
import hashlib
import re
from pathlib import Path

from flask.testing import FlaskClient

from common.pyportal_common.admin import console

from .pages import Headers

FOLDER = Path(console.__file__).parent
STATIC, TEMPLATES = FOLDER / "static", FOLDER / "templates"
MAX_BYTES = 150_000


def test_the_vendored_files_are_those_of_their_versions() -> None:
    text = "".join(file.read_text("utf-8") for file in TEMPLATES.rglob("*.html"))
    pinned = re.findall(r'"{{ link\("/static/(\S+)"\) }}" integrity="sha384-([^"]+)"', text)

    assert [name for name, _ in sorted(pinned)] == [
        "htmx.min.js",
        "uPlot.iife.min.js",
        "uPlot.min.css",
    ]
    for name, expected in pinned:
        digest = hashlib.sha384((STATIC / name).read_bytes()).digest()
        assert base64.b64encode(digest).decode() == expected


def test_a_page_with_everything_is_small(client: FlaskClient, admin: Headers) -> None:
    page = client.get("/console", headers=admin)
    names = re.findall(r'(?:src|href)="/console/static/([^"]+)"', page.text)
    files = [client.get(f"/console/static/{name}") for name in names]

    assert len(files) == 6
    assert all(each.status_code == 200 for each in files)
    assert len(page.data) + sum(len(each.data) for each in files) < MAX_BYTES


def test_files_are_revalidated_and_no_others_are_served(client: FlaskClient) -> None:
    file = client.get("/console/static/console.css")

    assert file.mimetype == "text/css"
    assert file.headers["Cache-Control"] == "no-cache"
    tag = {"If-None-Match": file.headers["ETag"]}
    assert client.get("/console/static/console.css", headers=tag).status_code == 304
    for name in ("README.md", "__init__.py", "console.py", "..%5cconsole.py", "LICENSE.htmx"):
        assert client.get(f"/console/static/{name}").status_code == 404


def test_htmx_may_not_evaluate_text_or_call_others() -> None:
    layout = (TEMPLATES / "console" / "layout.html").read_text("utf-8")

    for setting in (
        '"allowEval":false',
        '"allowScriptTags":false',
        '"includeIndicatorStyles":false',
        '"selfRequestsOnly":true',
        '"historyCacheSize":0',
    ):
        assert setting in layout
