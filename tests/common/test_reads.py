"""`@reads`: the session, the limits and the cached value of a route in one round trip."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
import redis
from flask import Flask, Response, jsonify
from flask.testing import FlaskClient

from common.pyportal_common.cache_handlers import (
    Admission,
    Breaker,
    Cache,
    Limiter,
    Policy,
    RateLimit,
    RedisClient,
    SessionStore,
    Stores,
)
from common.pyportal_common.cache_handlers.admission.value_reads import ValueReads
from common.pyportal_common.db import Database
from common.pyportal_common.redis_server import RedisServer
from common.pyportal_common.settings import ServiceSettings
from common.pyportal_common.testing.kit import bearer
from common.pyportal_common.testing.plugin import settings_for
from common.pyportal_common.web import (
    create_service,
    current_session,
    login_required,
    rate_limit,
    reads,
    respond_one,
    services_only,
)
from common.pyportal_common.web.declarations import InvalidRead

from .backups import Backup
from .items import change, create_tables, drop_tables, value_of
from .load import Connect
from .waiting import wait_until

pytestmark = pytest.mark.usefixtures("own_commands_only")

HOUR = Policy(ttl=3600)
Clients = tuple[RedisClient, RedisClient]


class Limits(ServiceSettings):
    """Two requests a minute."""

    rate_limit_two: RateLimit = RateLimit("two", 2, 60)


def key_of(item_id: int) -> str:
    return f"item:{item_id}"


@contextmanager
def monitoring(server: RedisServer) -> Iterator[list[str]]:
    """The commands of clients and scripts, complete after the block."""
    seen: list[str] = []
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as monitor:
        lines = monitor.makefile("r", encoding="utf-8", errors="replace")
        monitor.sendall(b"MONITOR\r\n")
        lines.readline()
        yield seen
        with socket.create_connection(("127.0.0.1", server.port)) as other:
            other.sendall(b"ECHO the-end\r\n")
            for line in lines:
                if '"the-end"' in line:
                    break
                seen.append(line.strip())


def from_clients(lines: list[str]) -> list[str]:
    return [line for line in lines if " lua]" not in line]


def reads_of(key: str, lines: list[str]) -> int:
    return sum(f'"GET" "{key}"' in line for line in lines)


@pytest.fixture(params=["one database", "two databases"])
def clients(request: pytest.FixtureRequest, own_redis: RedisServer) -> Iterator[Clients]:
    """The clients of caches and of sessions, with one breaker, as the registry makes them."""
    settings = settings_for(own_redis)
    breaker = Breaker(settings.address)
    caches = RedisClient.connect(settings, db=1, breaker=breaker)
    sessions = caches
    if request.param == "two databases":
        sessions = RedisClient.connect(settings, db=2, breaker=breaker)
    yield caches, sessions
    breaker.close()
    caches.close()
    sessions.close()


@pytest.fixture
def database(sql_url: str, clients: Clients) -> Iterator[Database]:
    database = Database(sql_url, cache=Cache(clients[0]), trust_seconds=60)
    create_tables(database)
    yield database
    drop_tables(database)
    database.close()


@pytest.fixture
def app(
    clients: Clients, database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Flask:
    """A service with the route /items/{item_id}."""
    monkeypatch.chdir(tmp_path)
    caches, sessions = clients
    app = create_service(
        "test",
        Limits.load(),
        title="Test",
        stores=Stores.of("test", caches, SessionStore(sessions)),
        database=database,
    )
    cache = Cache(caches)

    @app.get("/items/<id:item_id>")
    @login_required(allow_services=True)
    @reads(key_of)
    def show(item_id: int) -> Response:
        return respond_one("item", cache.find(key_of(item_id), lambda: value_of(database), HOUR))

    @app.get("/limited/<id:item_id>")
    @login_required()
    @rate_limit("two", by="user")
    @reads(key_of)
    def limited(item_id: int) -> Response:
        return show(item_id)

    @app.get("/own")
    @login_required()
    @reads(lambda user_id: f"own:{user_id}", by="user")
    def own() -> Response:
        user_id = current_session().user_id
        return respond_one("own", cache.find(f"own:{user_id}", lambda: user_id, HOUR))

    @app.get("/unused/<id:item_id>")
    @login_required()
    @reads(key_of)
    def unused(item_id: int) -> str:
        return str(item_id)

    @app.get("/twice/<id:item_id>")
    @login_required()
    @reads(key_of)
    def twice(item_id: int) -> Response:
        def load() -> int:
            return value_of(database)

        before = cache.get_or_load(key_of(item_id), load, HOUR)
        change_elsewhere(database, before + 1)
        return jsonify([before, cache.get_or_load(key_of(item_id), load, HOUR)])

    @app.get("/written/<id:item_id>")
    @login_required()
    @reads(key_of)
    def written(item_id: int) -> Response:
        change(database, value=7)
        found = cache.get_or_load(key_of(item_id), lambda: value_of(database), HOUR)
        return jsonify(found)

    @app.get("/other/<id:item_id>")
    @login_required()
    @reads(key_of)
    def other(item_id: int) -> Response:
        return jsonify(cache.get_or_load(key_of(item_id + 1), lambda: "other", HOUR))

    return app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client(use_cookies=False)


@pytest.fixture
def john(clients: Clients) -> dict[str, str]:
    return log_in(clients, 7)


def change_elsewhere(database: Database, value: int) -> None:
    """Change the item as another request does."""
    thread = threading.Thread(target=change, args=(database,), kwargs={"value": value})
    thread.start()
    thread.join()


def log_in(clients: Clients, user_id: int, **session: Any) -> dict[str, str]:
    return bearer(SessionStore(clients[1]).create(user_id, {}, **session).session_id)


def test_a_hit_is_one_command(
    client: FlaskClient, john: dict[str, str], own_redis: RedisServer
) -> None:
    for path in ("/items/1", "/limited/1", "/own"):
        client.get(path, headers=john)  # a miss, and the first request of the session

        with monitoring(own_redis) as seen:
            response = client.get(path, headers=john)

        assert response.status_code == 200
        assert len(from_clients(seen)) == 1, (path, seen)


def test_a_miss_is_filled_by_the_lease_that_the_cache_takes(
    client: FlaskClient, john: dict[str, str], own_redis: RedisServer, clients: Clients
) -> None:
    with monitoring(own_redis) as seen:
        assert client.get("/items/1", headers=john).json == {"item": 0}

    assert reads_of("item:1", [line for line in seen if " lua]" not in line]) == 0
    assert sum('"SET" "lease:{item:1}"' in line for line in seen) == 1
    assert clients[0].get("item:1") == "0"


def test_the_text_is_the_body(client: FlaskClient, john: dict[str, str], clients: Clients) -> None:
    clients[0].set("item:1", ' {"a" : 1.50}', 60)

    assert client.get("/items/1", headers=john).text == '{"item": {"a" : 1.50}}\n'


def test_a_refused_request_reads_nothing(
    client: FlaskClient, john: dict[str, str], own_redis: RedisServer
) -> None:
    for _ in range(2):
        assert client.get("/limited/1", headers=john).status_code == 200

    with monitoring(own_redis) as seen:
        assert client.get("/limited/1", headers=john).status_code == 429

    assert reads_of("item:1", seen) == 0


@pytest.mark.parametrize("session", ["unknown", "ended", "odd"])
def test_without_a_session_nothing_is_read(
    client: FlaskClient,
    john: dict[str, str],
    own_redis: RedisServer,
    clients: Clients,
    session: str,
) -> None:
    client.get("/items/1", headers=john)
    if session == "unknown":
        john = bearer("unknown")
    elif session == "ended":
        SessionStore(clients[1]).revoke_all(7, auth_epoch=1)
    else:
        clients[1].set(f"session:{john['Authorization'].split()[1]}", "{}", 60)

    with monitoring(own_redis) as seen:
        for path in ("/items/1", "/own"):
            assert client.get(path, headers=john).status_code == 401

    assert reads_of("item:1", seen) == reads_of("own:7", seen) == 0


def test_another_users_value_is_never_read_for_a_session_id_that_changed_hands(
    client: FlaskClient, own_redis: RedisServer, clients: Clients
) -> None:
    log_in(clients, 7, session_id="chosen")
    for _ in range(2):
        assert client.get("/own", headers=bearer("chosen")).json == {"own": 7}
    log_in(clients, 8, session_id="chosen", replace_existing=True)

    with monitoring(own_redis) as seen:
        assert client.get("/own", headers=bearer("chosen")).json == {"own": 8}

    assert reads_of("own:7", seen) == 0
    assert client.get("/own", headers=bearer("chosen")).json == {"own": 8}


def test_a_value_is_not_held_beyond_its_request(
    client: FlaskClient, john: dict[str, str], clients: Clients, database: Database
) -> None:
    client.get("/items/1", headers=john)
    assert client.get("/unused/1", headers=john).text == "1"
    change_elsewhere(database, 5)

    found = Cache(clients[0]).get_or_load("item:1", lambda: value_of(database), HOUR)

    assert found == 5


def test_a_value_is_taken_once_and_not_after_a_write(
    client: FlaskClient, john: dict[str, str]
) -> None:
    client.get("/items/1", headers=john)

    assert client.get("/twice/1", headers=john).json == [0, 1]
    assert client.get("/written/1", headers=john).json == 7
    assert client.get("/items/1", headers=john).json == {"item": 7}


def test_a_value_is_used_only_for_its_key(client: FlaskClient, john: dict[str, str]) -> None:
    client.get("/items/1", headers=john)

    assert client.get("/other/1", headers=john).json == "other"


def test_without_trust_nothing_is_read(
    client: FlaskClient,
    john: dict[str, str],
    own_redis: RedisServer,
    clients: Clients,
    database: Database,
) -> None:
    client.get("/items/1", headers=john)
    clients[0].set("item:1", "99", 60)
    clients[0].require_trust(lambda key: key != "item:1")

    with monitoring(own_redis) as seen:
        assert client.get("/items/1", headers=john).json == {"item": value_of(database)}

    assert reads_of("item:1", seen) == 0


@pytest.mark.parametrize("odd", ["{", "[" * 50_000, b'"\xff"', "NaN"])
def test_a_text_that_does_not_fit_is_a_miss(
    client: FlaskClient, john: dict[str, str], clients: Clients, odd: str | bytes
) -> None:
    clients[0].set("item:1", odd, 60)

    assert client.get("/items/1", headers=john).json == {"item": 0}
    assert clients[0].get("item:1") == "0"


def test_a_value_of_another_type_is_a_miss_and_one_without_expiry_is_refreshed(
    client: FlaskClient, john: dict[str, str], clients: Clients
) -> None:
    clients[0].execute("ZADD", "item:1", 1, "x")
    assert client.get("/items/1", headers=john).json == {"item": 0}
    clients[0].execute("PERSIST", "item:1")

    assert client.get("/items/1", headers=john).json == {"item": 0}

    def is_refreshed() -> bool:  # by a thread, after a read
        client.get("/items/1", headers=john)
        return clients[0].ttl("item:1") > 0

    wait_until(is_refreshed)


def test_a_query_string_reads_nothing_ahead(
    client: FlaskClient, john: dict[str, str], own_redis: RedisServer
) -> None:
    with monitoring(own_redis) as seen:
        client.get("/unused/1?page=2", headers=john)

    assert reads_of("item:1", seen) == 0


def test_values_that_a_crashed_server_brings_back_are_removed_before_they_are_read(
    client: FlaskClient,
    john: dict[str, str],
    database: Database,
    own_redis: RedisServer,
    tmp_path: Path,
) -> None:
    """The first new connection is one for sessions, and it must run the hook of the caches."""
    client.get("/items/1", headers=john)
    backup = Backup(own_redis, tmp_path / "older")
    backup.save()
    change(database, value=1)
    backup.restore()

    shown = client.get("/items/1", headers=john)

    assert shown.json == {"item": 1}


class TestWithoutSelect:
    @pytest.fixture
    def server(self, own_redis: RedisServer, connect: Connect) -> RedisClient:
        return connect(own_redis)

    @pytest.fixture
    def pair(self, own_redis: RedisServer) -> Iterator[Clients]:
        """Caches in database 1, and sessions in database 0, which need no SELECT."""
        settings = settings_for(own_redis)
        breaker = Breaker(settings.address)
        caches, sessions = (RedisClient.connect(settings, db=db, breaker=breaker) for db in (1, 0))
        yield caches, sessions
        for each in (breaker, caches, sessions):
            each.close()

    def test_it_takes_two_round_trips_and_says_so_once(
        self, server: RedisClient, pair: Clients, caplog: pytest.LogCaptureFixture
    ) -> None:
        server.execute("ACL", "SETUSER", "default", "-select")
        admission = admission_of(pair)
        session = SessionStore(pair[1]).create(7, {})

        admitted = [admission.admit(session.session_id, [], key="item:1") for _ in range(3)]

        assert [(each.session == session, each.value) for each in admitted] == [(True, None)] * 3
        lines = [line for line in caplog.messages if "two round trips" in line]
        assert len(lines) == 1
        assert "add +select" in lines[0]

    @pytest.mark.parametrize("rules", ["-select", "resetkeys ~session:* ~user:*"])
    def test_a_permission_that_is_lost_later_ends_no_session(
        self, server: RedisClient, pair: Clients, caplog: pytest.LogCaptureFixture, rules: str
    ) -> None:
        admission = admission_of(pair)
        session = SessionStore(pair[1]).create(7, {})
        pair[0].set("item:1", "1", 60)
        first = admission.admit(session.session_id, [], key="item:1")
        server.execute("ACL", "SETUSER", "default", *rules.split())

        found = [admission.admit(session.session_id, [], key="item:1") for _ in range(2)]

        assert first.value is not None
        assert [(each.session is not None, each.value) for each in found] == [(True, None)] * 2
        assert sum("two round trips" in line for line in caplog.messages) == 1


@pytest.mark.parametrize(
    ("reply", "stops"),
    [
        ("NOPERM this user has no permissions to run the 'select' command", True),
        ("ERR DB index is out of range", True),
        ("ERR unknown command 'SELECT'", True),
        ("BUSY Redis is busy running a script", False),
        ("OOM command not allowed", False),
    ],
)
def test_only_a_lasting_refusal_of_select_is_remembered(
    own_redis: RedisServer, reply: str, stops: bool
) -> None:
    settings = settings_for(own_redis)
    breaker = Breaker(settings.address)
    caches, sessions = (RedisClient.connect(settings, db=db, breaker=breaker) for db in (1, 0))
    values = ValueReads(sessions, caches)

    def refuse(*_: Any) -> None:
        raise redis.ResponseError(reply)

    with nullcontext() if stops else pytest.raises(redis.ResponseError):
        values._prepare(refuse)  # no server refuses SELECT in all of these ways

    assert (values.arguments("item:1") == ["", ""]) == stops
    breaker.close()


def admission_of(clients: Clients) -> Admission:
    return Admission(Limiter(clients[1]), SessionStore(clients[1]), clients[0])


@pytest.mark.parametrize("fails", [False, True])
def test_the_connection_stays_in_its_database(clients: Clients, fails: bool) -> None:
    caches, sessions = clients
    caches.set("item:1", "1", 60)
    session = SessionStore(sessions).create(7, {})
    if fails:
        caches.execute("ACL", "SETUSER", "default", "resetkeys", "~session:*", "~user:*", "~only:*")
    admitted = admission_of(clients).admit(session.session_id, [], key="item:1")
    sessions.set("only:here", "1", 60)

    assert (admitted.value is None) == fails
    caches.execute("ACL", "SETUSER", "default", "allkeys")
    assert (caches.get("only:here") is None) == (caches is not sessions)
    assert sessions.get("only:here") == "1"


def test_sessions_on_another_server_read_no_values(
    own_redis: RedisServer, redis_server: RedisServer, connect: Connect
) -> None:
    caches, sessions = connect(own_redis), connect(redis_server)
    caches.set("item:1", "1", 60)
    session = SessionStore(sessions).create(7, {})

    admitted = admission_of((caches, sessions)).admit(session.session_id, [], key="item:1")

    assert admitted.session == session
    assert admitted.value is None


Register = Callable[[Flask], object]


class TestRegistration:
    @pytest.fixture
    def app(self, make_service: Callable[..., Flask]) -> Flask:
        return make_service()

    def test_a_route_without_a_session_is_refused(self, app: Flask) -> None:
        for view in (reads(key_of)(lambda **_: ""), services_only(reads(key_of)(lambda **_: ""))):
            with pytest.raises(InvalidRead, match="login_required"):
                app.get("/items/<id:item_id>")(view)

    def test_a_route_that_writes_is_refused(self, app: Flask) -> None:
        view = login_required()(reads(key_of)(lambda **_: ""))

        with pytest.raises(InvalidRead, match="GET only"):
            app.post("/items/<id:item_id>")(view)

    def test_a_key_of_other_variables_is_refused(self, app: Flask) -> None:
        for path in ("/items", "/items/<id:item_id>/<id:other>"):
            with pytest.raises(InvalidRead, match="to its key"):
                app.get(path)(login_required()(reads(key_of)(lambda **_: "")))
