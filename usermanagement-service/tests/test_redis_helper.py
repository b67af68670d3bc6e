"""UserManagementRedisHelper, call by call, and the snippets of the integration guide."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from app.redis_helper import UserManagementRedisHelper
from common.pyportal_common.cache_handlers import (
    RedisClient,
    RedisUnavailable,
    SessionStore,
    get_redis_client,
    keys,
)
from common.pyportal_common.redis_server import RedisServer
from local.shell import names

from .conftest import services_of

USER = {
    "id": 123,
    "username": "john_doe",
    "email": "john@example.com",
    "firstName": "John",
    "lastName": "Doe",
}


@pytest.fixture
def helper(client_of_service: RedisClient) -> UserManagementRedisHelper:
    return UserManagementRedisHelper(client_of_service)


class TestUserCache:
    def test_a_cached_user_is_returned_until_it_is_invalidated(
        self, helper: UserManagementRedisHelper
    ) -> None:
        assert helper.get_cached_user(123) is None

        assert helper.cache_user(user_id=123, user_data=USER, ttl=3600) is True
        assert helper.get_cached_user(123) == USER

        assert helper.invalidate_user_cache(123) is True
        assert helper.get_cached_user(123) is None
        assert helper.invalidate_user_cache(123) is False

    def test_the_key_and_its_ttl(
        self, helper: UserManagementRedisHelper, redis_client: RedisClient
    ) -> None:
        helper.cache_user(123, USER)
        assert redis_client.get_json("user:123") == USER
        assert 3590 <= redis_client.ttl("user:123") <= 3600

        helper.cache_user(123, USER, ttl=5)
        assert 1 <= redis_client.ttl("user:123") <= 5

    def test_another_user_has_another_key(self, helper: UserManagementRedisHelper) -> None:
        helper.cache_user(123, USER)
        helper.cache_user("lookup:username:john_doe", {"id": "evil"})

        assert helper.get_cached_user(12) is None
        assert helper.get_user_id_by_username("john_doe") is None

    @pytest.mark.parametrize("user_id", [None, True, 1.5, ""])
    def test_an_invalid_id_is_refused(
        self, helper: UserManagementRedisHelper, user_id: Any
    ) -> None:
        with pytest.raises((TypeError, ValueError), match="identifier"):
            helper.cache_user(user_id, USER)


class TestLookups:
    def test_names_and_addresses_in_any_case_lead_to_ids(
        self, helper: UserManagementRedisHelper, redis_client: RedisClient
    ) -> None:
        helper.cache_user_lookup(123, username="John_Doe", email="John@Example.com")

        assert helper.get_user_id_by_username("JOHN_DOE") == 123
        assert helper.get_user_id_by_email("john@example.COM") == 123
        assert redis_client.get("user:lookup:username:john_doe") == "123"
        assert 3590 <= redis_client.ttl("user:lookup:email:john@example.com") <= 3600

    def test_each_can_be_invalidated(self, helper: UserManagementRedisHelper) -> None:
        helper.cache_user_lookup(123, username="john_doe", email="john@example.com")

        assert helper.invalidate_user_lookup(email="john@example.com") is True
        assert helper.get_user_id_by_email("john@example.com") is None
        assert helper.get_user_id_by_username("john_doe") == 123

    def test_a_name_or_an_address_is_required(self, helper: UserManagementRedisHelper) -> None:
        with pytest.raises(TypeError, match="a username or an email"):
            helper.cache_user_lookup(123)


class TestSessions:
    def test_a_session_contains_its_user_until_it_is_deleted(
        self, helper: UserManagementRedisHelper, redis_client: RedisClient
    ) -> None:
        helper.create_session(session_id="sess_abc123", user_id=123, user_data=USER)

        session = helper.get_session("sess_abc123")
        assert session is not None
        assert (session["user_id"], session["user_data"]) == (123, USER)
        assert redis_client.get_json("session:sess_abc123")["user_data"] == USER
        assert 3590 <= redis_client.ttl("session:sess_abc123") <= 3600

        assert helper.delete_session("sess_abc123") is True
        assert helper.get_session("sess_abc123") is None

    def test_a_session_with_the_same_id_is_replaced(
        self, helper: UserManagementRedisHelper
    ) -> None:
        helper.create_session("sess_abc123", 123, USER)
        helper.create_session("sess_abc123", 124, {})

        session = helper.get_session("sess_abc123")
        assert session is not None
        assert session["user_id"] == 124

    def test_only_a_refresh_extends_the_ttl(
        self, helper: UserManagementRedisHelper, redis_client: RedisClient
    ) -> None:
        helper.create_session("sess_abc123", 123, USER, ttl=5)
        helper.get_session("sess_abc123")
        assert redis_client.ttl("session:sess_abc123") <= 5

        assert helper.refresh_session("sess_abc123", ttl=3600) is True

        assert 3590 <= redis_client.ttl("session:sess_abc123") <= 3600

    def test_a_missing_session(self, helper: UserManagementRedisHelper) -> None:
        assert helper.get_session("nothing") is None
        assert helper.refresh_session("nothing") is False
        assert helper.delete_session("nothing") is False

    def test_a_session_can_be_created_after_all_were_revoked(
        self, helper: UserManagementRedisHelper, redis_client: RedisClient
    ) -> None:
        SessionStore(redis_client).revoke_all(123, auth_epoch=7)

        helper.create_session("sess_abc123", 123, USER)

        assert helper.get_session("sess_abc123") is not None


class TestCheckRateLimit:
    def test_it_returns_whether_and_how_many_are_left(
        self, helper: UserManagementRedisHelper
    ) -> None:
        responses = [helper.check_rate_limit(key="user:123", limit=3, window=60) for _ in range(5)]

        assert responses == [(True, 2), (True, 1), (True, 0), (False, 0), (False, 0)]

    def test_the_defaults_are_ten_a_minute(self, helper: UserManagementRedisHelper) -> None:
        responses = [helper.check_rate_limit("user:123") for _ in range(11)]

        assert responses[0] == (True, 9)
        assert responses[10] == (False, 0)

    def test_the_key_is_the_callers(
        self, helper: UserManagementRedisHelper, redis_client: RedisClient
    ) -> None:
        helper.check_rate_limit(key="register:127.0.0.1", limit=5, window=60)

        assert redis_client.exists("rate_limit:register:127.0.0.1") == 1
        assert 60 <= redis_client.ttl("rate_limit:register:127.0.0.1") <= 68

    @pytest.mark.parametrize(("limit", "window"), [(0, 60), (-1, 60), (10, 0)])
    def test_invalid_numbers_are_refused(
        self, helper: UserManagementRedisHelper, limit: int, window: int
    ) -> None:
        with pytest.raises(ValueError, match="is 1 to"):
            helper.check_rate_limit("user:123", limit, window)


class TestOutage:
    def test_each_call_without_redis(
        self, own_redis: RedisServer, connect: Callable[..., RedisClient]
    ) -> None:
        helper = UserManagementRedisHelper(connect(own_redis))
        own_redis.kill()

        assert helper.cache_user(123, USER) is False
        assert helper.get_cached_user(123) is None
        assert helper.cache_user_lookup(123, username="john_doe") is False
        assert helper.get_user_id_by_username("john_doe") is None
        assert [helper.check_rate_limit("k", 2, 60) for _ in range(3)] == [
            (True, 1),
            (True, 0),
            (False, 0),
        ]
        for call in (
            lambda: helper.invalidate_user_cache(123),
            lambda: helper.create_session("sess", 123, USER),
            lambda: helper.get_session("sess"),
            lambda: helper.refresh_session("sess"),
            lambda: helper.delete_session("sess"),
        ):
            with pytest.raises(RedisUnavailable):
                call()


class TestTheGuide:
    """The snippets of the guide, with the names that `make shell` defines."""

    @pytest.fixture
    def prompt(self, app: Flask) -> dict[str, Any]:
        client, until = services_of(app).redis_client, time.monotonic() + 30
        client.ping()
        while not client.trusts(keys.user(1)) and time.monotonic() < until:
            time.sleep(0.01)  # with sentinels, after two seconds
        return names(app)

    def run(self, prompt: dict[str, Any], code: str) -> None:
        """Run a snippet. All snippets begin in the same way."""
        begin = (
            "from app.redis_helper import UserManagementRedisHelper\n"
            "redis_helper = UserManagementRedisHelper()\n"
        )
        exec(compile(begin + code, "guide", "exec"), prompt)

    def test_the_helper_connects_by_itself(self, prompt: dict[str, Any]) -> None:
        self.run(
            prompt,
            "user = fetch_user_from_db(123)\n"
            "redis_helper.cache_user(123, user, ttl=3600)\n"
            "is_allowed, remaining = redis_helper.check_rate_limit(\n"
            '    key=f"user:{user_id}", limit=10, window=60)\n',
        )

        assert prompt["redis_helper"].get_cached_user(123) == {"id": 123}
        assert (prompt["is_allowed"], prompt["remaining"]) == (True, 9)
        assert get_redis_client(db=0).exists("rate_limit:user:123") == 1

    def test_cache_aside_write_through_and_invalidation(self, prompt: dict[str, Any]) -> None:
        self.run(
            prompt,
            "def get_user(user_id):\n"
            "    cached = redis_helper.get_cached_user(user_id)\n"
            "    if cached:\n"
            "        return cached\n"
            "    user = db.get_user(user_id)\n"
            "    if user:\n"
            "        redis_helper.cache_user(user_id, user, ttl=3600)\n"
            "    return user\n"
            "def create_user(user_data):\n"
            "    user = db.create_user(user_data)\n"
            "    redis_helper.cache_user(user['id'], user, ttl=3600)\n"
            "    return user\n"
            "def update_user(user_id, user_data):\n"
            "    user = db.update_user(user_id, user_data)\n"
            "    redis_helper.invalidate_user_cache(user_id)\n"
            "    redis_helper.cache_user(user_id, user, ttl=3600)\n"
            "    return user\n",
        )

        assert prompt["get_user"](5) is None
        created = prompt["create_user"]({"username": "john_doe"})
        assert prompt["redis_helper"].get_cached_user(created["id"]) == created
        updated = prompt["update_user"](created["id"], {"username": "johnny"})
        assert prompt["get_user"](created["id"]) == updated
        assert updated["username"] == "johnny"

    def test_session_management(self, prompt: dict[str, Any]) -> None:
        self.run(
            prompt,
            "import uuid\n"
            "session_id = str(uuid.uuid4())\n"
            "redis_helper.create_session(\n"
            "    session_id=session_id,\n"
            "    user_id=123,\n"
            "    user_data={'username': 'john_doe', 'role': 'user'},\n"
            "    ttl=3600\n"
            ")\n"
            "def whoami():\n"
            "    session = redis_helper.get_session(session_id)\n"
            "    if session:\n"
            "        user_id = session['user_id']\n"
            "        user_data = session['user_data']\n"
            "        return user_id, user_data\n"
            "    else:\n"
            "        return unauthorized_response()\n"
            "redis_helper.refresh_session(session_id, ttl=3600)\n",
        )

        assert prompt["whoami"]() == (123, {"username": "john_doe", "role": "user"})
        prompt["redis_helper"].delete_session(prompt["session_id"])
        with prompt["app"].app_context():
            assert prompt["whoami"]()[1] == 401

    def test_rate_limiting_in_an_endpoint(self, prompt: dict[str, Any]) -> None:
        self.run(
            prompt,
            "from flask import request, jsonify\n"
            "@app.route('/limited', methods=['POST'])\n"
            "def register_user():\n"
            "    client_id = request.remote_addr\n"
            "    is_allowed, remaining = redis_helper.check_rate_limit(\n"
            '        key=f"register:{client_id}", limit=5, window=60)\n'
            "    if not is_allowed:\n"
            "        return jsonify({'error': 'Rate limit exceeded', 'retry_after': 60}), 429\n"
            "    response = jsonify({'message': 'User registered'})\n"
            "    response.headers['X-RateLimit-Remaining'] = str(remaining)\n"
            "    return response\n",
        )
        client = prompt["app"].test_client()

        responses = [client.post("/limited") for _ in range(6)]

        assert [response.status_code for response in responses] == [200] * 5 + [429]
        assert [
            response.headers.get("X-RateLimit-Remaining") for response in responses[:5]
        ] == list("43210")
        assert responses[5].json == {"error": "Rate limit exceeded", "retry_after": 60}
        assert get_redis_client().exists("rate_limit:register:127.0.0.1") == 1
