"""Sessions and repeated requests on the running portal, as curl and redis-cli see them."""

import json
import os
import re
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from local.client import API, ApiResponse

from ..portal_api import PASSWORD, REGISTER, User, registration, wait_until
from .conftest import Portal

pytestmark = pytest.mark.slow


def test_a_user_refreshes_a_session_and_logs_out(portal: Portal) -> None:
    walker = User.register(portal, "walker")
    session_key, index_key = f"session:{walker.session_id}", f"user:sessions:{walker.user_id}"

    stored = json.loads(portal.redis(f"get {session_key}"))
    assert stored["user_id"] == walker.user_id
    assert stored["user_data"] == {"username": "walker", "role": "user"}
    assert 3500 < int(portal.redis(f"ttl {session_key}")) <= 3600
    assert portal.redis(f"zrange {index_key} 0 -1") == walker.session_id

    assert walker.request("POST", "/session/refresh").body == {"expires_in": 3600}
    assert walker.request("POST", "/logout").status == 204
    assert walker.request("GET", "/session").status == 401
    assert portal.redis(f"exists {session_key} {index_key}") == "0"


def test_a_session_survives_sigkill_of_redis(portal: Portal) -> None:
    survivor = User.register(portal, "survivor")
    flushed = "aof_buffer_length:0"
    wait_until(lambda: flushed in portal.redis("info persistence"), seconds=5)

    os.kill(portal.pid_of("valkey-server"), signal.SIGKILL)

    statuses: set[int] = set()

    def is_back() -> bool:
        statuses.add(survivor.request("GET", "/session").status)
        return 200 in statuses

    wait_until(is_back, seconds=15)
    assert statuses <= {200, 503}
    stored = json.loads(portal.redis(f"get session:{survivor.session_id}"))
    assert stored["user_data"]["role"] == "user"


def test_the_command_creates_an_admin(portal: Portal) -> None:
    assert "boss is an admin" in portal.create_admin("boss")

    found = User(portal, "boss").request("GET", "/users?username=boss").body["items"]

    assert [item["username"] for item in found] == ["boss"]


def test_logs_contain_no_session_id_and_no_password(portal: Portal) -> None:
    secretive = User.register(portal, "secretive")
    secretive.request("GET", "/session")

    logs = " ".join(file.read_text() for file in (portal.data_dir / "logs").glob("*.log"))
    assert f"POST {API}/login -> 200" in logs
    assert secretive.session_id not in logs
    assert not re.search(f"{PASSWORD}|argon2id", logs)


def test_a_repeated_registration_replays_the_response(portal: Portal) -> None:
    key = {"Idempotency-Key": "8e03978e-40d5-43e8-bc93-6894a57f9324"}

    first = portal.request("POST", REGISTER, registration("again"), **key)
    repeats = [portal.request("POST", REGISTER, registration("again"), **key) for _ in range(4)]
    other = portal.request("POST", REGISTER, registration("other"), **key)

    assert first.status == 201
    assert "Idempotency-Replayed" not in first.headers
    assert [(repeat.status, repeat.body) for repeat in repeats] == [(201, first.body)] * 4
    assert {repeat.headers["Idempotency-Replayed"] for repeat in repeats} == {"true"}
    assert other.status == 422
    assert {repeat.headers["Idempotent-Replayed"] for repeat in repeats} == {"true"}
    (kept,) = portal.sql("usermanagement", "SELECT * FROM idempotency_keys")
    assert kept[0] == "users.register_user/anyone"
    assert PASSWORD not in str(kept)


def test_concurrent_repetitions_in_all_processes_have_one_effect(portal: Portal) -> None:
    key = {"Idempotency-Key": "0f6f1a38-4d4d-4c05-9d2b-5e3b1d0c9a11"}

    def register(_: int) -> ApiResponse:
        return portal.request("POST", REGISTER, registration("crowd"), **key)

    with ThreadPoolExecutor(50) as pool:
        responses = list(pool.map(register, range(50)))

    # 503: every password hashing slot was busy, as the passwords of repetitions are compared.
    assert {response.status for response in responses} <= {201, 409, 503}
    accepted = [response.body for response in responses if response.status == 201]
    assert accepted == [accepted[0]] * len(accepted)
    assert sum("Idempotency-Replayed" not in r.headers for r in responses if r.status == 201) == 1
    refused = [json.dumps(r.body) for r in responses if r.status == 409]
    assert all("Idempotency-Key" in body for body in refused)
