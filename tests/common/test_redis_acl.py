"""What the users of redis/users.acl may do, and that they may do nothing else."""

from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any

import pytest
import redis
from redis.exceptions import ExecAbortError, NoPermissionError

from common.pyportal_common.cache_handlers import (
    Cache,
    Policy,
    RedisClient,
    RedisRefused,
    RedisSettings,
    keys,
)
from common.pyportal_common.operations.redis_checks import check_database
from common.pyportal_common.redis_server import RedisServer, embedded_server, redis_server_on_path
from common.pyportal_common.testing.plugin import missing
from common.pyportal_common.testing.users import url_of_user, with_passwords
from local.acl import users

from .load import ROOT

USERS = (ROOT / "redis" / "users.acl").read_text("utf-8")
RULES = {line.split()[1]: line.split()[2:] for line in USERS.splitlines()}
SERVICES = ["usermanagement", "taskprocessing", "notification"]
PEOPLE_AND_PROGRAMS = sorted(RULES.keys() - {"default"})

# The keys of others, which a service may neither read nor write.
FOREIGN = {
    "usermanagement": [
        keys.booking(7),
        keys.flight_availability(7),
        keys.notification(7),
        keys.notification_status(7),
        keys.rate_limit("user:7", "taskprocessing"),
        keys.rate_limit("user:7", "notification"),
    ],
    "taskprocessing": [
        keys.user(7),
        keys.username_lookup("jane"),
        keys.email_lookup("jane@example.com"),
        keys.notification(7),
        keys.user_notifications(7),
        keys.rate_limit("user:7", "usermanagement"),
        keys.rate_limit("user:7"),
    ],
    "notification": [
        keys.user(7),
        keys.username_lookup("jane"),
        keys.email_lookup("jane@example.com"),
        keys.booking(7),
        keys.user_bookings(7),
        keys.flight_availability(7),
        keys.rate_limit("user:7", "usermanagement"),
        keys.rate_limit("user:7"),
    ],
}


@pytest.fixture(scope="module", params=["redis", "valkey"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RedisServer]:
    """A server of each kind with our users."""
    binary = redis_server_on_path() if request.param == "redis" else embedded_server()
    if binary is None:
        missing(request.param)
    folder = tmp_path_factory.mktemp(request.param)
    file = folder / "users.acl"
    file.write_text(with_passwords(USERS))
    # Two containers of commands are off by default, whoever the user is.
    options = {"enable-debug-command": "yes", "enable-module-command": "yes"}
    server = RedisServer(binary, folder, options=options | {"aclfile": str(file)})
    server.start()
    yield server
    server.kill()


def connected(server: RedisServer, user: str = "") -> Any:
    """A redis-py client as this user, or as one who may do everything."""
    url = url_of_user(user, server.url) if user else server.url
    return closing(redis.Redis.from_url(url, decode_responses=True, protocol=2))


def client_of(server: RedisServer, service: str, *, db: int) -> RedisClient:
    """A client of a database as the user of a service."""
    url = url_of_user(service, server.url)
    return RedisClient.connect(RedisSettings.load(url=url, _env_file=None), db=db)


def findings(server: RedisServer, service: str, database: str = "caches") -> list[str]:
    """What `doctor` of a service says about the caches or the sessions, with its user."""
    client = client_of(server, service, db=1 if database == "caches" else 0)
    client.uses(keys.kinds_in("caches" if database == "caches" else "sessions", service))
    found = []
    with closing(client), suppress(RedisRefused):  # without INFO it sees no more
        for each in check_database(database, client, service):
            found += [f"{each.text}: {each.remedy}"] if each.state != "ok" else []
    return found


def test_the_file_is_what_make_acl_writes() -> None:
    assert users() == USERS


def test_no_user_has_a_password_in_the_file() -> None:
    for rules in RULES.values():
        assert not [rule for rule in rules if rule[0] in "><#!" or rule == "nopass"]


@pytest.mark.parametrize("database", ["caches", "sessions"])
@pytest.mark.parametrize("service", SERVICES)
def test_doctor_finds_that_a_service_may_do_all_that_it_needs(
    server: RedisServer, service: str, database: str
) -> None:
    assert findings(server, service, database) == []


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_caches_its_own_values(server: RedisServer, service: str) -> None:
    own = [kind.example for kind in keys.kinds_in("caches", service) if kind.service == service]
    with closing(client_of(server, service, db=1)) as client:
        cache = Cache(client)

        assert cache.put_many(dict.fromkeys(own, 1), ttl=60)
        assert cache.invalidate(*own) == len(own)
        for key in own:
            assert cache.get_or_load(key, lambda: 2, Policy(ttl=60), tags=["all"]) == 2
        assert client.exists(*own) == len(own)
        cache.unfence(cache.fence(own))
        assert client.exists(*own) == 0


@pytest.mark.slow
@pytest.mark.parametrize("service", SERVICES)
def test_each_permission_of_a_service_is_needed_and_named_if_it_is_missing(
    server: RedisServer, service: str
) -> None:
    """All but PING, which a service answers to itself."""
    rules = [rule for rule in RULES[service] if rule[0] in "+~" and rule != "+ping"]
    assert len(rules) > 30
    with connected(server) as admin:
        for rule in rules:
            _set_rules(admin, service, [each for each in RULES[service] if each != rule])

            found = findings(server, service) + findings(server, service, "sessions")

            assert any(rule.partition("|")[0] in line and "NOPERM" in line for line in found), rule
        _set_rules(admin, service, RULES[service])


def _set_rules(admin: Any, service: str, rules: list[str]) -> None:
    admin.execute_command("ACL SETUSER", service, "resetkeys", "-@all", *rules)


@pytest.mark.parametrize("user", PEOPLE_AND_PROGRAMS)
def test_every_command_that_is_not_in_the_file_is_denied(server: RedisServer, user: str) -> None:
    """Every command that the server has, such as FLUSHALL, KEYS, CONFIG SET, SHUTDOWN or ACL."""
    allowed = {rule[1:] for rule in RULES[user] if rule.startswith("+")}
    with connected(server) as admin:
        others = {
            name: words
            for name, words in commands_of(admin).items()
            if not {name, name.partition("|")[0]} & allowed
        }
    assert len(others) > 250
    for name in ("flushall", "keys", "config|set", "debug", "shutdown", "acl|setuser"):
        assert name in others
    for name in ("module|load", "save", "replicaof", "monitor", "client|list", "script|flush"):
        assert name in others or user in {"operator", "sentinel"}

    with connected(server, user) as client:
        not_denied = [name for name, words in others.items() if not is_denied(client, words)]
    assert not_denied == []


def is_denied(client: Any, words: list[str]) -> bool:
    """Whether the server says that the user may not run this command."""
    try:
        client.execute_command(*words)
    except (NoPermissionError, ExecAbortError) as refusal:
        return "to run the" in str(refusal)
    except redis.ResponseError:
        return False
    return False


def commands_of(admin: Any) -> dict[str, list[str]]:
    """Each command of a server, as in an ACL, with as many arguments as it needs.

    Without those that anybody may send who has not even logged in, such as AUTH.
    """
    connection = admin.connection_pool.get_connection()
    connection.send_command("COMMAND")
    found: dict[str, list[str]] = {}
    entries = connection.read_response()
    while entries:
        name, arity, flags, *_, subcommands = entries.pop()
        entries += subcommands
        words = name.split("|")
        if "no_auth" not in flags and not subcommands:
            found[name] = words + ["1"] * (abs(arity) - len(words))
    admin.connection_pool.release(connection)
    return found


@pytest.mark.parametrize(
    ("service", "key"), [(service, key) for service, keys in FOREIGN.items() for key in keys]
)
def test_the_keys_of_another_service_are_denied(
    server: RedisServer, service: str, key: str
) -> None:
    own = keys.session("of-all")
    with connected(server) as admin, connected(server, service) as client:
        admin.set(key, "as before", px=60_000)
        for words in (
            ("GET", key),
            ("SET", key, "changed"),
            ("DEL", key),
            ("MGET", own, key),
            ("EVAL", "return redis.call('GET', KEYS[1])", "1", key),
            ("EVAL", "return 1", "2", own, key),
            ("EVALSHA", "0" * 40, "1", key),
        ):
            with pytest.raises(NoPermissionError):
                client.execute_command(*words)
        with pytest.raises(redis.ResponseError, match="key"):
            client.eval(f"return redis.call('SET', '{key}', 'changed')", 0)

        assert admin.get(key) == "as before"


@pytest.mark.parametrize("service", SERVICES)
def test_a_script_has_no_more_permissions_than_its_user(server: RedisServer, service: str) -> None:
    with connected(server) as admin, connected(server, service) as client:
        admin.set("user:1", "as before", px=60_000)
        for command in ("'FLUSHALL'", "'KEYS', '*'", "'RANDOMKEY'", "'RENAME', 'user:1', 'x'"):
            with pytest.raises(redis.ResponseError, match=r"(?i)ACL failure|can't run"):
                client.eval(f"return redis.call({command})", 0)

        assert admin.get("user:1") == "as before"


def test_operators_look_and_remove(server: RedisServer) -> None:
    with connected(server) as admin, connected(server, "operator") as operator:
        admin.set("user:1", "{}", px=60_000)
        limits = (ROOT / "redis" / "show-limits.lua").read_text("utf-8")

        assert operator.execute_command("ACL WHOAMI") == "operator"
        assert operator.info("memory")["used_memory"] > 0
        assert operator.memory_usage("user:1") > 0
        assert "user:1" in set(operator.scan_iter("user:*"))
        assert 0 < operator.ttl("user:1") <= 60
        assert operator.eval(limits, 1, keys.rate_limit("127.0.0.1", "usermanagement")) == []
        assert operator.slowlog_get(1) is not None
        assert operator.client_list()
        assert operator.delete("user:1") == 1
