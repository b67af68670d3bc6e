"""Webhooks: registering, listing and deleting them."""

import base64
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask.testing import FlaskClient

from common.pyportal_common.settings import ConfigurationError
from common.pyportal_common.testing.kit import json_of, problem_of

from .conftest import Headers, MakeApp
from .sender import WEBHOOKS, Sender


def test_every_webhook_has_its_own_secret_which_is_shown_once(
    sender: Sender, john: Headers
) -> None:
    urls = [f"https://example.com/{number}" for number in range(3)]

    webhooks = [sender.register(url, john) for url in urls]

    assert [webhook["url"] for webhook in webhooks] == urls
    secrets = {webhook.pop("secret") for webhook in webhooks}
    assert len(secrets) == 3
    for secret in secrets:
        assert secret.startswith("whsec_")
        assert len(base64.b64decode(secret[6:], validate=True)) == 24
    listed = sender.client.get(WEBHOOKS, headers=john).json
    assert listed == {"items": webhooks, "next": None}


def test_webhooks_are_paged_also_after_the_cursor_is_gone(
    sender: Sender, john: Headers, jane: Headers
) -> None:
    ids = [sender.register(f"https://example.com/{n}", john)["webhookId"] for n in range(5)]
    sender.register("https://example.com/", jane)

    def page(query: str) -> tuple[list[int], str | None]:
        found = sender.client.get(WEBHOOKS + query, headers=john)
        return [each["webhookId"] for each in json_of(found)["items"]], found.headers.get("Link")

    assert page("") == (ids, None)
    link = f'<{WEBHOOKS}?limit=2&cursor={ids[1]}>; rel="next"'
    assert page("?limit=2") == (ids[:2], link)
    sender.client.delete(f"{WEBHOOKS}/{ids[1]}", headers=john)
    assert page(f"?limit=3&cursor={ids[1]}") == (ids[2:], None)
    refused = sender.client.get(f"{WEBHOOKS}?limit=0", headers=john)
    assert problem_of(refused) == (422, ["limit"])


def test_only_its_user_can_delete_a_webhook(sender: Sender, john: Headers, jane: Headers) -> None:
    client = sender.client
    path = f"{WEBHOOKS}/{sender.register('https://example.com/', john)['webhookId']}"

    assert client.delete(path, headers=jane).status_code == 404
    assert client.delete(path).status_code == 401
    assert client.delete(path, headers=john).status_code == 204
    assert client.delete(path, headers=john).status_code == 404
    assert client.get(WEBHOOKS, headers=john).json == {"items": [], "next": None}


def test_a_user_can_register_a_url_once(client: FlaskClient, john: Headers, jane: Headers) -> None:
    body = {"url": "https://example.com/"}

    responses = [client.post(WEBHOOKS, json=body, headers=user) for user in (john, john, jane)]

    assert [response.status_code for response in responses] == [201, 409, 201]
    assert json_of(responses[1])["details"] == [{"field": "url", "message": "Already registered"}]


def test_a_user_has_at_most_a_hundred_webhooks(
    make_app: MakeApp, john: Headers, jane: Headers
) -> None:
    apps = [make_app(), make_app()]

    def add(number: int, headers: Headers = john) -> int:
        client = apps[number % 2].test_client(use_cookies=False)
        body = {"url": f"https://example.com/{number}"}
        return client.post(WEBHOOKS, json=body, headers=headers).status_code

    assert [add(number) for number in range(97)] == [201] * 97
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(add, range(97, 105)))

    assert sorted(statuses) == [201] * 3 + [409] * 5
    listed = json_of(apps[0].test_client(use_cookies=False).get(WEBHOOKS, headers=john))
    assert len(listed["items"]) == 100
    assert add(1, jane) == 201


@pytest.mark.parametrize(
    "url",
    [
        "",
        " ",
        "example.com",
        "//example.com/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "gopher://127.0.0.1:6379/_FLUSHALL",
        "http://",
        "http:///path",
        "http://?x",
        "http://:80/",
        "https://user@example.com/",
        "https://user:password@example.com/",
        "http://example.com\\@127.0.0.1/",
        "http://[::1",
        "http://example.com:99999/",
        "http://example.com:x/",
        "http://example.com/\r\nX-One: 1",
        "http://exa\tmple.com/",
        "http://example.com/a b",
        "http://example.com/\x00",
        "http://b\u00fccher.example/",
        "http://example.com/\u2028",
        f"http://example.com/{'a' * 2000}",
        None,
        7,
        ["https://example.com/"],
    ],
)
def test_an_invalid_url_is_refused(client: FlaskClient, john: Headers, url: Any) -> None:
    response = client.post(WEBHOOKS, json={"url": url}, headers=john)

    assert problem_of(response) == (422, ["url"])
    assert client.get(WEBHOOKS, headers=john).json == {"items": [], "next": None}


def test_invalid_networks_stop_the_start(make_app: MakeApp) -> None:
    with pytest.raises(ConfigurationError, match="WEBHOOK_NETWORKS"):
        make_app(webhook_networks="10.0.0.0/8,everything")
