"""A session from login to logout on the running portal, as curl and redis-cli see it."""

import contextlib
import json
import os
import re
import signal
import time

from .conftest import Portal, user, wait_until

LOGIN = "/api/v1/airliner/login"
SESSION = "/api/v1/airliner/session"


def log_in(portal: Portal, name: str) -> str:
    body = {"username": name, "password": user(name)["password"]}
    return str(portal.request("POST", LOGIN, body).body["session_id"])


def status(portal: Portal, session_id: str) -> int:
    return portal.request("GET", SESSION, Authorization=f"Bearer {session_id}").status


def test_register_log_in_refresh_and_log_out(portal: Portal) -> None:
    registered = portal.register("walker").body["user"]
    session_id = log_in(portal, "walker")
    headers = {"Authorization": f"Bearer {session_id}"}

    stored = json.loads(portal.redis(f"get session:{session_id}"))
    assert stored["user_id"] == registered["id"]
    assert stored["user_data"] == {"username": "walker", "role": "user"}
    assert 3500 < int(portal.redis(f"ttl session:{session_id}")) <= 3600
    assert portal.redis(f"zrange user:sessions:{registered['id']} 0 -1") == session_id

    refreshed = portal.request("POST", f"{SESSION}/refresh", **headers)
    assert refreshed.body == {"expires_in": 3600}
    assert portal.request("POST", "/api/v1/airliner/logout", **headers).status == 204
    assert status(portal, session_id) == 401
    assert portal.redis(f"exists session:{session_id} user:sessions:{registered['id']}") == "0"


def test_a_session_survives_sigkill_of_redis(portal: Portal) -> None:
    portal.register("survivor")
    session_id = log_in(portal, "survivor")
    buffered = "aof_buffer_length:0"
    wait_until(lambda: buffered in portal.redis("info persistence"), seconds=5)

    os.kill(portal.pid_of("valkey-server"), signal.SIGKILL)

    statuses: set[int] = set()
    deadline = time.monotonic() + 15
    while 200 not in statuses:
        assert time.monotonic() < deadline, statuses
        with contextlib.suppress(OSError):
            statuses.add(status(portal, session_id))
    assert statuses <= {200, 503}
    assert json.loads(portal.redis(f"get session:{session_id}"))["user_data"]["role"] == "user"


def test_an_admin_is_made_by_command(portal: Portal) -> None:
    portal.environment["ADMIN_PASSWORD"] = "correct-horse-battery"
    made = portal.make(
        "flask",
        service="usermanagement",
        args="users create-admin --username boss --email boss@example.com",
    )
    assert "boss is an admin" in made.stdout, made.stderr

    session_id = log_in(portal, "boss")
    listed = portal.request(
        "GET", "/api/v1/airliner/users?username=boss", Authorization=f"Bearer {session_id}"
    )

    assert [item["username"] for item in listed.body["items"]] == ["boss"]


def test_no_log_has_a_session_id_or_a_password(portal: Portal) -> None:
    portal.register("secretive")
    session_id = log_in(portal, "secretive")
    status(portal, session_id)

    logs = " ".join(file.read_text() for file in (portal.data_dir / "logs").glob("*.log"))
    assert "POST /api/v1/airliner/login -> 200" in logs
    assert session_id not in logs
    assert not re.search("correct-horse-battery|argon2id", logs)
