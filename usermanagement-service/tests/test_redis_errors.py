"""Whatever error Redis answers with: no 5xx but 503, it is seen, and it ends by itself."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from common.pyportal_common.redis_server import RedisServer, free_port
from common.pyportal_common.testing.kit import API, bearer, json_of
from common.pyportal_common.testing.redis_errors import REPLIES, TO_OTHER_COMMANDS
from common.pyportal_common.testing.refusing_relay import RefusingRelay

from .conftest import (
    CREDENTIALS,
    FORGOT,
    JANE,
    JOHN,
    LOGIN,
    REGISTER,
    MakeApp,
    register,
    services_of,
)

Use = Callable[[FlaskClient, str, str], TestResponse]

USES: dict[str, tuple[Use, set[int]]] = {
    # with the client, a session, and the path of its user; and the statuses in an outage
    "rate limit of the process": (lambda client, *_: client.post(REGISTER, json=JANE), {201, 503}),
    "rate limit that is closed": (
        lambda client, *_: client.post(FORGOT, json={"email": JOHN["email"]}),
        {503},
    ),
    "creating a session": (lambda client, *_: client.post(LOGIN, json=CREDENTIALS), {503}),
    "reading a session and a cached user": (
        lambda client, session, user: client.get(user, headers=bearer(session)),
        {503},
    ),
    "changing a cached user": (
        lambda client, session, user: client.patch(
            user, json={"firstName": "Jo"}, headers=bearer(session)
        ),
        {503},
    ),
    "revoking sessions by a commit": (
        lambda client, session, user: client.put(
            f"{user}/password",
            json={"currentPassword": JOHN["password"], "newPassword": "another-horse-battery"},
            headers=bearer(session),
        ),
        {503},
    ),
    "listing sessions": (
        lambda client, session, _: client.get(f"{API}/sessions", headers=bearer(session)),
        {503},
    ),
    "revoking a session": (
        lambda client, session, _: client.post(f"{API}/logout", headers=bearer(session)),
        {503},
    ),
    "a route without Redis": (lambda client, *_: client.get("/openapi.json"), {200}),
}


@pytest.fixture
def relay(redis_server: RedisServer, without_tls: None) -> Iterator[RefusingRelay]:  # noqa: ARG001
    """A relay to the server of these tests."""
    relay = RefusingRelay(redis_server.port)
    yield relay
    relay.close()


def lines_about_redis(log: str) -> list[str]:
    # Invalidations that were refused meanwhile are applied afterwards, which is logged, too.
    return [line for line in log.splitlines() if "Redis" in line and "invalidations" not in line]


def every_reply() -> list[Any]:
    return [
        pytest.param(reply, marks=[pytest.mark.slow] if reply in TO_OTHER_COMMANDS else [])
        for reply in REPLIES
    ]


@pytest.mark.parametrize("reply", every_reply())
def test_every_error_of_redis_is_a_503_that_is_seen_and_ends(
    reply: str,
    relay: RefusingRelay,
    make_app: MakeApp,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REDIS_READ_TIMEOUT", "10")  # a busy machine is no outage
    client = make_app(redis_url=relay.url, cache_trust_seconds=0.1).test_client(use_cookies=False)
    user = register(client)
    session = json_of(client.post(LOGIN, json=CREDENTIALS))["session_id"]
    path = f"{API}/users/{user['id']}"
    capsys.readouterr()

    relay.error = REPLIES[reply]

    for use, (call, statuses) in USES.items():
        response = call(client, session, path)
        assert response.status_code in statuses, (use, response.text)
        assert response.status_code != 503 or int(response.headers["Retry-After"]) > 0, use
    health = json_of(client.get("/health"))
    assert health["status"] == "degraded"
    assert health["checks"]["redis"] in {"refusing", "unavailable"}
    assert {each["state"] for each in health["redis"]} == {health["checks"]["redis"]}
    assert client.get("/readyz").json == {"status": "degraded", "redis": health["checks"]["redis"]}
    log = capsys.readouterr().err
    assert len(lines_about_redis(log)) == 1, log
    assert "Traceback" not in log

    relay.error = None

    wait_until(lambda: status_of(client)[0] == "ok")
    assert client.get(path, headers=bearer(session)).status_code == 200
    assert client.patch(path, json={"firstName": "Jo"}, headers=bearer(session)).status_code == 200
    log = capsys.readouterr().err
    assert len(lines_about_redis(log)) == 1, log


@pytest.mark.parametrize("reply", ["OOM", "NOPERM", "LOADING", "WRONGTYPE", "MOVED", "no code"])
def test_errors_of_the_caches_alone_are_no_errors(
    reply: str,
    relay: RefusingRelay,
    redis_server: RedisServer,
    make_app: MakeApp,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Cache reads miss, fills are skipped, and invalidations are recorded."""
    monkeypatch.setenv("SESSION_REDIS_URL", redis_server.url)
    client = make_app(redis_url=relay.url, cache_trust_seconds=0.1).test_client(use_cookies=False)
    path = f"{API}/users/{register(client)['id']}"
    session = json_of(client.post(LOGIN, json=CREDENTIALS))["session_id"]

    relay.error = REPLIES[reply]

    for _ in range(2):
        assert client.get(path, headers=bearer(session)).status_code == 200
    changed = client.patch(path, json={"firstName": "Jo"}, headers=bearer(session))
    assert changed.status_code == 200
    found = client.get(path, headers=bearer(session))
    assert json_of(found)["user"]["firstName"] == "Jo"
    (database,) = json_of(client.get("/health"))["redis"]
    assert database["name"] == f"127.0.0.1:{relay.port}, database 0"


@pytest.mark.parametrize("reply", ["OOM", "READONLY", "MISCONF", "NOREPLICAS"])
def test_the_health_check_writes(reply: str, relay: RefusingRelay, make_app: MakeApp) -> None:
    """A server that answers PING and reads is not ok."""
    client = make_app(redis_url=relay.url, cache_trust_seconds=0.1).test_client(use_cookies=False)
    relay.error, relay.commands = REPLIES[reply], {"SET"}

    (database,) = json_of(client.get("/health"))["redis"]

    assert (database["state"], database["reason"]) == ("refusing", reply)


@pytest.mark.parametrize(
    "rules",
    [
        "-info",
        "-eval -evalsha",
        "-pexpire",
        "-get",
        "resetkeys ~user:* ~session:* ~rate_limit:* ~fence:* ~cache:* ~pyportal:*",  # no ~lease:*
        "resetkeys ~lease:*",
    ],
)
def test_a_missing_permission_is_an_outage_until_it_is_granted(
    rules: str, own_redis: RedisServer, make_app: MakeApp, as_service: Callable[[str], str]
) -> None:
    user = urlsplit(as_service(own_redis.url)).username or "default"
    client = make_app(redis_url=own_redis.url, cache_trust_seconds=0.1).test_client(
        use_cookies=False
    )
    path = f"{API}/users/{register(client)['id']}"
    session = json_of(client.post(LOGIN, json=CREDENTIALS))["session_id"]
    ca_file = os.environ.get("REDIS_TLS_CA_FILE")
    with closing(
        redis.Redis("127.0.0.1", own_redis.port, ssl=bool(ca_file), ssl_ca_certs=ca_file)
    ) as admin:
        admin.execute_command("ACL SETUSER", user, *rules.split())
        admin.execute_command("CLIENT KILL", "TYPE", "normal", "SKIPME", "yes")
        time.sleep(0.02)  # until then connections are not looked at

        for call, _ in USES.values():
            response = call(client, session, path)
            assert response.status_code == 503 or response.status_code < 500, response.text
        services_of(client.application).redis_client.check_soon()
        wait_until(lambda: status_of(client) == ("refusing", "NOPERM"))

        admin.execute_command("ACL SETUSER", user, "+@all", "allkeys")

    wait_until(lambda: status_of(client) == ("ok", None))
    assert client.post(FORGOT, json={"email": JOHN["email"]}).status_code == 202


@pytest.mark.parametrize(
    ("options", "path"), [({"databases": "1"}, "/5"), ({"cluster-enabled": "yes"}, "")]
)
def test_a_server_that_cannot_work_is_an_outage(
    options: dict[str, str],
    path: str,
    start_redis: Callable[..., RedisServer],
    make_app: MakeApp,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if "cluster-enabled" in options:
        options = {**options, "cluster-port": str(free_port())}
    url = start_redis(**options).url + path
    client = make_app(redis_url=url, cache_trust_seconds=0.1).test_client(use_cookies=False)

    for _ in range(20):
        for call, _ in USES.values():
            response = call(client, "a-session", f"{API}/users/1")
            assert response.status_code == 503 or response.status_code < 500, response.text
    assert status_of(client)[0] == "refusing"

    log = capsys.readouterr().err
    assert len(lines_about_redis(log)) <= 2, log
    assert "Traceback" not in log


def status_of(client: FlaskClient) -> tuple[str, str | None]:
    """The state of Redis, and why it is not ok."""
    health = json_of(client.get("/health"))
    reason = next((each["reason"] for each in health.get("redis", [])), None)
    return health["checks"]["redis"], reason


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
