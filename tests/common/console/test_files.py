"""The files of the pages: unchanged, small, and none from elsewhere."""

import base64
import hashlib
import re
from pathlib import Path

from flask.testing import FlaskClient

from common.pyportal_common.admin import console
from common.pyportal_common.web import pages

from .pages import Headers

FOLDERS = {"/console/static": Path(console.__file__), "/app/static": Path(pages.__file__)}
MAX_BYTES = 150_000


def test_the_vendored_files_are_those_of_their_versions() -> None:
    folders = [file.parent / "templates" for file in FOLDERS.values()]
    files = [file for folder in folders for file in folder.rglob("*.html")]
    text = "".join(file.read_text("utf-8") for file in files)
    pinned = re.findall(r'(?:src|href)="{{ \w+\("(\S+)"\) }}" integrity="sha384-([^"]+)"', text)
    pinned = [(name.removeprefix("/static/"), digest) for name, digest in pinned]

    assert [name for name, _ in sorted(pinned)] == [
        "htmx.min.js",
        "uPlot.iife.min.js",
        "uPlot.min.css",
    ]
    for name, expected in pinned:
        [found] = [
            path for file in FOLDERS.values() if (path := file.parent / "static" / name).exists()
        ]
        digest = hashlib.sha384(found.read_bytes()).digest()
        assert base64.b64encode(digest).decode() == expected


def test_a_page_with_everything_is_small(client: FlaskClient, admin: Headers) -> None:
    page = client.get("/console", headers=admin)
    paths = re.findall(r'(?:src|href)="(/(?:console|app)/static/[^"]+)"', page.text)
    files = [client.get(path) for path in paths]

    assert len(files) == 6
    assert all(each.status_code == 200 for each in files)
    assert len(page.data) + sum(len(each.data) for each in files) < MAX_BYTES


def test_files_are_revalidated_and_no_others_are_served(client: FlaskClient) -> None:
    file = client.get("/app/static/style.css")

    assert file.mimetype == "text/css"
    assert file.headers["Cache-Control"] == "no-cache"
    tag = {"If-None-Match": file.headers["ETag"]}
    assert client.get("/app/static/style.css", headers=tag).status_code == 304
    for name in ("README.md", "__init__.py", "console.py", "..%5cconsole.py", "LICENSE.htmx"):
        for folder in FOLDERS:
            assert client.get(f"{folder}/{name}").status_code == 404


def test_htmx_may_not_evaluate_text_or_call_others() -> None:
    folder = FOLDERS["/app/static"].parent / "templates"
    layout = (folder / "pages" / "layout.html").read_text("utf-8")

    for setting in (
        '"allowEval":false',
        '"allowScriptTags":false',
        '"includeIndicatorStyles":false',
        '"selfRequestsOnly":true',
        '"historyCacheSize":0',
    ):
        assert setting in layout
