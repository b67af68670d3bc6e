"""What users see of pages, and what they do with them."""

import html
import re
from collections.abc import Callable
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from common.pyportal_common.cache_handlers import RedisClient, get_session_client
from common.pyportal_common.db import AuditFilter

PUBLIC_URL = "http://localhost:5001"
ADMIN_DATA = {"role": "admin", "username": "jane"}
Headers = dict[str, str]
MakeApp = Callable[..., Flask]
_EXAMPLES = {"kind": "operations", "database": "caches", "name": "admin"}  # parts of paths


def text_of(response: TestResponse, status: int = 200) -> str:
    """What users see of a page."""
    assert response.status_code == status, response.text
    assert response.mimetype == "text/html"
    main = re.sub(r"(?s)^.*<main[^>]*>|</main>.*$|<option>.*?</option>", "", response.text)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", main)).split())


def audited(app: Flask) -> list[tuple[str, str, str, Any]]:
    """The entries of the audit log, the newest first."""
    page = app.extensions["services"].audit.page(AuditFilter())
    return [(each.actor, each.action, each.target, each.count) for each in page.items]


def size_of(client: RedisClient) -> str:
    """The number of keys of a database, as pages write it."""
    return f"{client.execute('DBSIZE'):,}"


def pages_and_acts(app: Flask) -> list[tuple[str, str]]:
    """The methods and paths of all routes of the console that are for admins."""
    found = []
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<id:\w+>", "1", rule.rule)
        path = re.sub(r"<(\w+)>", lambda match: _EXAMPLES.get(match[1], match[0]), path)
        if path.startswith("/console") and "/static/" not in path and "<" not in path:
            [method] = {"GET", "POST"} & (rule.methods or set())
            found.append((method, path))
    return found


def ids_in(page: TestResponse) -> list[str]:
    """The ids of the rows that can be selected."""
    return re.findall(r'name="ids" value="(\d+)"', page.text)


def confirm(
    client: FlaskClient, headers: Headers, asked: TestResponse, **more: str
) -> TestResponse:
    """Confirm an act, which is then done."""
    response = press(client, headers, asked, **more)
    assert response.status_code == 303, response.text
    return response


def press(client: FlaskClient, headers: Headers, asked: TestResponse, **more: str) -> TestResponse:
    """Press the button of a page that asks for a confirmation."""
    main = asked.text.partition("<main")[2]
    [action] = re.findall(r'<form[^>]* action="([^"]+)"', main)
    fields = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', main)
    data: dict[str, Any] = {}
    for name, value in fields:
        data.setdefault(name, []).append(html.unescape(value))
    return client.post(html.unescape(action), data={**data, **more}, headers=headers)


def age_login(headers: Headers, seconds: int) -> None:
    """Make the login of a session older."""
    client, key = get_session_client(), f"session:{headers['Authorization'].split()[1]}"
    text = client.get(key) or ""
    [auth_at] = re.findall(r'"auth_at":(\d+)', text)
    older = text.replace(f'"auth_at":{auth_at}', f'"auth_at":{int(auth_at) - seconds * 1000}')
    client.set(key, older, ttl=client.ttl(key))
