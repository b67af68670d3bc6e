"""What operators do with sessions, limits, caches and Redis."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import MetaData

from common.pyportal_common.cache_handlers import (
    Cache,
    Charge,
    Limiter,
    Policy,
    RateLimit,
    RedisClient,
    SessionStore,
    keys,
)
from common.pyportal_common.commands.caches import cache_commands
from common.pyportal_common.commands.databases import redis_commands
from common.pyportal_common.commands.limits import limit_commands
from common.pyportal_common.commands.sessions import session_commands
from common.pyportal_common.db import (
    RECORDS,
    Actor,
    Audit,
    Database,
    LimitOverrides,
    TooManyWaitingWriters,
    Transaction,
    add_audit_table,
)
from common.pyportal_common.db.consistency import CacheKind, CacheVerifier
from common.pyportal_common.db.limit_overrides import add_overrides_table
from common.pyportal_common.db.waiting import WaitingPlace
from common.pyportal_common.operations import (
    CacheOperations,
    DatabaseOperations,
    EventCounts,
    LimitOperations,
    OperationRefused,
    Revoked,
    SessionOperations,
    Unknown,
)
from common.pyportal_common.redis_server import RedisServer

JANE = Actor("jane", "request-1")
LOGIN, WRITES = RateLimit("login", 5, 60), RateLimit("writes", 10, 60)
ADMIN = RateLimit("admin", 120, 60)
USERS = Policy(60)
Connect = Callable[..., RedisClient]


@pytest.fixture
def client(own_redis: RedisServer, connect: Connect) -> RedisClient:
    """A client of a server that the test may stop."""
    return connect(own_redis)


@pytest.fixture
def store(client: RedisClient) -> SessionStore:
    return SessionStore(client)


@pytest.fixture
def database(client: RedisClient, store: SessionStore, tmp_path: Path) -> Iterator[Database]:
    url = f"sqlite:///{tmp_path / 'operations.sqlite3'}"
    database = Database(url, cache=Cache(client), sessions=store, trust_seconds=0.2)
    metadata = MetaData()
    add_audit_table(metadata)
    add_overrides_table(metadata)
    RECORDS.to_metadata(metadata)
    metadata.create_all(database.engine)
    yield database
    database.close()


@pytest.fixture
def audit(database: Database) -> Audit:
    return Audit(database)


def entries(audit: Audit) -> list[tuple[str, str, int | None]]:
    return [(each.action, each.target, each.count) for each in audit.page().items]


class TestSessions:
    @pytest.fixture
    def sessions(self, database: Database, store: SessionStore, audit: Audit) -> SessionOperations:
        def raise_epoch(_: Transaction, user_id: int) -> int:
            return 1 if user_id == 7 else 2

        return SessionOperations(database, store, audit, raise_epoch, {"john": 7}.get)

    def test_the_list_has_no_secret(self, sessions: SessionOperations, store: SessionStore) -> None:
        session = store.create(7, {"role": "user"}, origin={"device": "Firefox on Linux"})

        [shown] = sessions.list(7)

        assert (shown.id, shown.device) == (session.public_id, "Firefox on Linux")
        assert session.session_id not in repr(shown)

    def test_all_sessions_of_a_user_end(
        self, sessions: SessionOperations, store: SessionStore, audit: Audit
    ) -> None:
        for user_id in (7, 7, 8):
            store.create(user_id, {})

        assert sessions.revoke_all(JANE, 7) == Revoked(2)

        assert (len(store.list(7)), len(store.list(8))) == (0, 1)
        assert entries(audit) == [("sessions revoke", "user=7", 2)]

    def test_one_session_ends(
        self, sessions: SessionOperations, store: SessionStore, audit: Audit
    ) -> None:
        first, second = store.create(7, {}), store.create(7, {})

        sessions.revoke(JANE, 7, first.public_id)

        assert [each.session_id for each in store.list(7)] == [second.session_id]
        assert entries(audit) == [("sessions revoke", "user=7", 1)]

    def test_that_of_another_user_does_not(
        self, sessions: SessionOperations, store: SessionStore, audit: Audit
    ) -> None:
        session = store.create(8, {})

        with pytest.raises(Unknown, match="session of the user 7"):
            sessions.revoke(JANE, 7, session.public_id)

        assert (len(store.list(8)), entries(audit)) == (1, [])

    def test_without_redis_they_end_as_soon_as_it_is_back(
        self,
        sessions: SessionOperations,
        store: SessionStore,
        database: Database,
        audit: Audit,
        own_redis: RedisServer,
    ) -> None:
        store.create(7, {})
        own_redis.pause()

        assert sessions.count(7) is None
        assert sessions.revoke_all(JANE, 7) == Revoked(None, is_pending=True)
        assert entries(audit) == [("sessions revoke", "user=7", None)]

        own_redis.resume()
        assert database.invalidations
        [record] = database.invalidations.records.pending(10)
        assert record.revocations

    def test_nothing_is_revoked_while_too_many_wait(
        self,
        sessions: SessionOperations,
        database: Database,
        audit: Audit,
        own_redis: RedisServer,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def refuse(_: object) -> None:
            raise TooManyWaitingWriters("made for this test")

        own_redis.pause()
        monkeypatch.setattr(WaitingPlace, "take", refuse)

        with pytest.raises(TooManyWaitingWriters):
            sessions.revoke_all(JANE, 7)

        assert entries(audit) == []
        assert database.invalidations
        assert database.invalidations.records.pending(10) == []

    def test_the_command_says_that_it_is_recorded_without_redis(
        self, sessions: SessionOperations, store: SessionStore, own_redis: RedisServer
    ) -> None:
        commands = session_commands(sessions)
        store.create(7, {})
        own_redis.pause()

        asked = CliRunner().invoke(commands, ["revoke", "7"], input="n\n")
        done = CliRunner().invoke(commands, ["revoke", "7", "--yes"])
        for_programs = CliRunner().invoke(commands, ["revoke", "john", "--yes", "--json"])

        assert "End all sessions of user 7? [y/N]" in asked.output
        assert done.output == (
            "Recorded: the sessions of user 7 end when Redis is available again\n"
        )
        assert '"pending": true' in for_programs.output
        assert (asked.exit_code, done.exit_code, for_programs.exit_code) == (1, 0, 0)

    @pytest.mark.parametrize("user", ["7", "john"])
    def test_commands_find_a_user_by_id_or_name(
        self, sessions: SessionOperations, store: SessionStore, user: str
    ) -> None:
        shown = store.create(7, {})
        commands = session_commands(sessions)

        listed = CliRunner().invoke(commands, ["list", user])
        ended = CliRunner().invoke(commands, ["revoke", user], input="y\n")

        assert shown.public_id in listed.output
        assert ended.output.splitlines() == [
            "End 1 session of user 7? [y/N]: y",
            "1 session of user 7 ended",
        ]
        assert store.list(7) == []

    def test_commands_refuse_an_unknown_user(self, sessions: SessionOperations) -> None:
        for name in ("list", "revoke"):
            result = CliRunner().invoke(session_commands(sessions), [name, "nobody"])
            assert (result.exit_code, result.output) == (1, "Error: no user nobody\n")


class TestLimits:
    @pytest.fixture
    def limiter(self, client: RedisClient) -> Limiter:
        return Limiter(client, service="tests")

    @pytest.fixture
    def limits(self, limiter: Limiter, database: Database, audit: Audit) -> LimitOperations:
        declared = {each.name: each for each in (LOGIN, WRITES, ADMIN)}
        overrides = LimitOverrides(database, audit=lambda *_: None)
        return LimitOperations(limiter, declared, overrides, audit, roles=["user", "admin"])

    @pytest.fixture
    def run_limits(self, limits: LimitOperations) -> Callable[..., Result]:
        commands = limit_commands(limits, "tests")
        return lambda *words, **options: CliRunner().invoke(commands, words, **options)

    def test_a_rate_is_replaced_and_returned_to(self, limits: LimitOperations) -> None:
        assert [each.overrides for each in limits.list(EventCounts())] == [[], [], []]

        limits.set(JANE, "login", "7/60;shadow", role="admin")

        listed = {each.name: each for each in limits.list(EventCounts())}
        assert listed["login"].overrides == [f"7/60;shadow for admin by {JANE.name}"]
        assert limits.unset(JANE, "login", role="admin") == 1
        assert limits.unset(JANE, "login", role="admin") == 0
        with pytest.raises(Unknown, match="no rate limit logins: choose from login, writes, admin"):
            limits.set(JANE, "logins", "1/60")

    @pytest.mark.parametrize(
        "rate", ["", "5", "0/60", "5/0", "9999999999/60", "5/99999999", "5/60;on", "-5/60", "often"]
    )
    def test_an_odd_rate_is_refused(self, limits: LimitOperations, rate: str) -> None:
        with pytest.raises(OperationRefused, match=r"is 1 to|is written"):
            limits.set(JANE, "login", rate)

    @pytest.mark.parametrize("role", ["Admin", "manager", "a" * 21, "é", "admin\n"])
    def test_a_role_that_no_user_has_is_refused(self, limits: LimitOperations, role: str) -> None:
        with pytest.raises(OperationRefused, match="choose from user, admin"):
            limits.set(JANE, "login", "5/60", role=role)
        with pytest.raises(Unknown, match="choose from user, admin"):
            limits.unset(JANE, "login", role=role)

        assert limits.overrides("login") == []

    @pytest.mark.parametrize("role", ["", "admin"])
    @pytest.mark.parametrize("rate", ["29/60", "1/60", "1000/86400", "1/3"])
    def test_admins_cannot_lock_themselves_out(
        self, limits: LimitOperations, rate: str, role: str
    ) -> None:
        with pytest.raises(OperationRefused, match="admins would lock themselves out"):
            limits.set(JANE, "admin", rate, role=role)

        assert list(limits.errors_in("admin", rate, role)) == ["rate"]
        assert limits.overrides("admin") == []

    @pytest.mark.parametrize(
        ("rate", "role"), [("30/60", ""), ("1/2", ""), ("1/60;shadow", "admin"), ("1/60", "user")]
    )
    def test_what_admits_admins_is_set(self, limits: LimitOperations, rate: str, role: str) -> None:
        assert limits.errors_in("admin", rate, role) == {}
        assert limits.set(JANE, "admin", rate, role=role).rate == rate

    @pytest.mark.parametrize("rate", ["0/60", "1000000001/60", f"{10**17}/60"])
    def test_the_range_of_a_limit_is_named(self, limits: LimitOperations, rate: str) -> None:
        number = rate.partition("/")[0]

        errors = limits.errors_in("login", rate, "")

        assert errors == {"rate": f"a limit is 1 to 1000000000, not {number}"}

    def test_commands_name_the_limits_for_an_unknown_one(
        self, run_limits: Callable[..., Result]
    ) -> None:
        for words in (("unset", "lgin"), ("set", "lgin", "1/60"), ("show", "lgin")):
            result = run_limits(*words)
            assert (result.exit_code, "login, writes, admin" in result.output) == (1, True), words
            assert "[y/N]" not in result.output

    def test_an_override_that_another_release_has_left_is_unset(
        self, limits: LimitOperations, database: Database, run_limits: Callable[..., Result]
    ) -> None:
        others = LimitOverrides(database, audit=lambda *_: None)
        others.set(RateLimit("old", 1, 60), by=JANE)

        result = run_limits("unset", "old", "--yes")

        assert (result.exit_code, limits.overrides("old")) == (0, [])

    def test_commands_say_that_nothing_was_used(self, run_limits: Callable[..., Result]) -> None:
        assert run_limits("show").output == "nobody has used a limit\n"
        assert run_limits("show", "user:7").output == "user:7 has used no limit\n"
        assert '"items": []' in run_limits("show", "user:7", "--json").output

    def test_commands_ask_with_the_limit_and_both_rates(
        self, limiter: Limiter, run_limits: Callable[..., Result]
    ) -> None:
        limiter.hit(Charge(LOGIN, "user:7"))
        yes = {"input": "y\n"}

        outputs = [
            run_limits("set", "login", "7/60", **yes).output,
            run_limits("set", "login", "9/60", "--role", "admin", **yes).output,
            run_limits("set", "login", "8/60", "--dry-run").output,
            run_limits("unset", "login", "--role", "admin", **yes).output,
            run_limits("unset", "login", "--role", "admin").output,
            run_limits("clear", "user:7", **yes).output,
        ]

        assert outputs == [
            "Set login from 5/60 to 7/60? [y/N]: y\nlogin is 7/60, everywhere within two seconds\n",
            (
                "Set login from 7/60 to 9/60 for the role admin? [y/N]: y\n"
                "login is 9/60 for the role admin, everywhere within two seconds\n"
            ),
            "Would set login from 7/60 to 8/60\n",
            (
                "Unset the override of login for the role admin? [y/N]: y\n"
                "the override of login for the role admin is unset, everywhere within two seconds\n"
            ),
            "login has no override for the role admin\n",
            "Clear 1 limit of user:7? [y/N]: y\n1 limit of user:7 cleared\n",
        ]

    def test_a_wrong_rate_is_refused_before_the_question(
        self, run_limits: Callable[..., Result]
    ) -> None:
        result = run_limits("set", "admin", "1/60")

        assert (result.exit_code, "[y/N]" in result.output) == (1, False)
        assert "admins would lock themselves out" in result.output

    def test_commands_name_the_roles_for_an_unknown_one(
        self, run_limits: Callable[..., Result]
    ) -> None:
        for words in (("set", "login", "7/60"), ("unset", "login")):
            result = run_limits(*words, "--role", "manager")
            assert result.exit_code == 1
            assert result.output == "Error: no role manager: choose from user, admin\n"

    def test_what_a_client_has_used_is_shown_and_not_changed(
        self, limits: LimitOperations, limiter: Limiter, client: RedisClient
    ) -> None:
        for _ in range(3):
            limiter.hit(Charge(LOGIN, "user:7"))
        before = client.hgetall(keys.rate_limit("user:7", "tests"))

        shown = [(each.rate_limit, each.used, each.limit) for each in limits.show("user:7")]

        assert shown == [("login", 3, 5)]
        assert limits.show("user:8") == []
        assert client.hgetall(keys.rate_limit("user:7", "tests")) == before
        assert client.exists(keys.rate_limit("user:8", "tests")) == 0

    @pytest.mark.parametrize("used", [1, 4, 5, 64, 65, 300])
    def test_any_number_of_requests_is_counted(self, limiter: Limiter, used: int) -> None:
        many = RateLimit("many", 300, 60)
        for _ in range(used):
            limiter.hit(Charge(many, "user:7"))

        [usage] = limiter.usage(["user:7"], [many])

        assert usage.used == used
        assert 0 < usage.reset_after <= 60

    def test_who_is_nearest_to_a_limit(self, limits: LimitOperations, limiter: Limiter) -> None:
        for name, count in (("user:7", 2), ("2001:db8::/64", 5), ("a {b}%", 1)):
            for _ in range(count):
                limiter.hit(Charge(LOGIN, name))
        limiter.hit(Charge(WRITES, "user:7"))
        Limiter(limiter.client, service="others").hit(Charge(LOGIN, "user:9"))

        nearest = [(each.identifier, each.used) for each in limits.nearest()]

        assert nearest == [
            ("2001:db8::/64", 5), ("user:7", 2), ("a {b}%", 1), ("user:7", 1),
        ]  # fmt: skip

    def test_a_client_that_is_cleared_may_go_on(
        self, limits: LimitOperations, limiter: Limiter, audit: Audit
    ) -> None:
        while limiter.hit(Charge(LOGIN, "user:7")).allowed:
            pass

        assert limits.clear(JANE, "user:7") == 1

        assert limiter.hit(Charge(LOGIN, "user:7")).allowed
        assert entries(audit) == [("limits clear", "user:7", 1)]

    def test_nothing_is_cleared_without_a_record(
        self, limits: LimitOperations, limiter: Limiter, audit: Audit, monkeypatch: Any
    ) -> None:
        limiter.hit(Charge(LOGIN, "user:7"))

        def fail(*_: object, **__: object) -> None:
            raise ValueError("made for this test")

        monkeypatch.setattr(audit, "record", fail)
        with pytest.raises(ValueError, match="made for this test"):
            limits.clear(JANE, "user:7")

        assert limits.show("user:7")


class TestCaches:
    @pytest.fixture
    def caches(self, client: RedisClient, database: Database, audit: Audit) -> CacheOperations:
        kinds = [CacheKind(keys.user, lambda user_id: {"id": user_id}, USERS)]

        def verifier() -> CacheVerifier:
            assert database.invalidations is not None
            return CacheVerifier(Cache(client), database.invalidations, kinds)

        return CacheOperations(
            client, database, audit, service="usermanagement", verifier=verifier, kinds=kinds
        )

    def test_values_are_compared_with_sql(
        self, caches: CacheOperations, client: RedisClient
    ) -> None:
        Cache(client).get_or_load(keys.user(7), lambda: {"id": 7}, Policy(60))
        assert caches.verify().stale == []

        Cache(client).get_or_load(keys.user(8), lambda: {"id": 9}, Policy(60))

        found = caches.verify()
        assert [each.digest for each in found.stale] == [keys.digest_of(keys.user(8))]
        assert caches.verify(caches=["user:lookup:email"]).stale == []

    def test_an_unknown_cache_is_not_verified(self, caches: CacheOperations) -> None:
        with pytest.raises(Unknown, match="no cache nonsense: choose from user, "):
            caches.verify(caches=["nonsense"])

    def test_what_verify_prints(self, caches: CacheOperations, client: RedisClient) -> None:
        commands = cache_commands(caches, "usermanagement")
        Cache(client).get_or_load(keys.user(7), lambda: {"id": 7}, Policy(60))

        fine = CliRunner().invoke(commands, ["verify"])
        Cache(client).get_or_load(keys.user(8), lambda: {"id": 9}, Policy(60))
        stale = CliRunner().invoke(commands, ["verify"])
        for_programs = CliRunner().invoke(commands, ["verify", "--json"])
        unknown = CliRunner().invoke(commands, ["verify", "--cache", "nonsense"])

        assert (fine.exit_code, fine.stdout.splitlines()[-1]) == (0, "No stale values")
        digest = keys.digest_of(keys.user(8))
        assert stale.exit_code == for_programs.exit_code == 1
        assert stale.stdout.splitlines()[-1].split() == ["user", "user:8", digest]
        assert json.loads(for_programs.stdout)["outcomes"]["stale"] == 1
        assert (unknown.exit_code, unknown.stdout) == (1, "")

    def test_a_value_is_described_and_not_shown(
        self, caches: CacheOperations, client: RedisClient
    ) -> None:
        client.set(keys.user(7), '{"email":"secret"}', ttl=60)

        shown = caches.show(keys.user(7))

        assert (shown.bytes, shown.is_fenced, shown.is_being_loaded) == (18, False, False)
        assert 59 < (shown.ttl_seconds or 0) <= 60
        assert "secret" not in repr(shown)

    def test_a_value_of_no_known_form_is_described(
        self, caches: CacheOperations, client: RedisClient
    ) -> None:
        client.set("user:lookup:email:a", "{", ttl=60)

        assert caches.explain("user:lookup:email:a").startswith("returns the cached value")

    @pytest.mark.parametrize(
        "key",
        [
            "session:7",
            "user:sessions:7",
            "user:auth_epoch:7",
            "user:",
            "lease:{user:7}",
            "rate_limit:7",
            "x",
            "",
        ],
    )
    def test_keys_that_are_in_no_cache_are_refused(
        self, caches: CacheOperations, audit: Audit, key: str
    ) -> None:
        for act in (caches.show, lambda key: caches.invalidate(JANE, key)):
            with pytest.raises(Unknown):
                act(key)
        assert entries(audit) == []

    def test_an_invalidated_value_is_gone_and_so_is_a_load_of_before(
        self, caches: CacheOperations, client: RedisClient, audit: Audit
    ) -> None:
        cache = Cache(client)

        def load() -> int:
            caches.invalidate(JANE, keys.user(7))
            return 1

        cache.get_or_load(keys.user(7), load, Policy(ttl=60))

        assert client.get(keys.user(7)) is None
        assert entries(audit) == [("cache invalidate", "user:7", 1)]

    def test_the_keys_are_counted_by_kind(
        self, caches: CacheOperations, client: RedisClient
    ) -> None:
        for number in range(3):
            client.set(keys.user(number), "12345", ttl=60)
        client.set(keys.username_lookup("jane"), "7", ttl=60)

        counted = {
            each.kind: (each.keys, each.mean_bytes)
            for each in caches.stats(EventCounts(), budget=1000)
        }

        assert counted["user"] == (3, 5)
        assert counted["user:lookup:username"] == (1, 1)
        assert counted["user:lookup:email"] == (0, None)

    def test_what_was_counted_of_a_cache_is_shown_also_without_a_scan(
        self, caches: CacheOperations, client: RedisClient
    ) -> None:
        client.set(keys.user(7), "12345", ttl=60)
        counts = EventCounts()
        counts.caches["user"].events.update({"hit": 3, "miss": 1})
        counts.caches["user"].stale_seconds = 7
        counts.caches["other"].events["unfilled"] = 1

        shown = {each.kind: each for each in caches.stats(counts)}

        user, other, email = shown["user"], shown["other"], shown["user:lookup:email"]
        assert (user.keys, user.reads, user.hit_ratio, user.stale_seconds) == (None, 4, 0.75, 7)
        assert (other.reads, other.hit_ratio, other.events) == (0, None, {"unfilled": 1})
        assert (email.reads, email.events) == (None, {})


class TestDatabases:
    def test_keys_are_found_by_their_prefix_without_sessions(
        self, client: RedisClient, store: SessionStore
    ) -> None:
        databases = DatabaseOperations({"caches": client})
        for key in ("a*b:1", "axb:1", "user:1"):
            client.set(key, "1", ttl=60)
        store.create(7, {})

        assert databases.keys("caches", "a*b") == ["a*b:1"]
        assert not [key for key in databases.keys("caches", "") if key.startswith("session:")]
        assert databases.keys("caches", "session:") == []

    def test_keys_cannot_change_the_terminal(self, client: RedisClient) -> None:
        client.execute("SET", b"user:\x1b[2J\r\n\xff" + b"x" * 200, "1")
        commands = redis_commands(DatabaseOperations({"caches": client}))

        printed = CliRunner().invoke(commands, ["keys", "--prefix", "user:"]).stdout

        assert printed == "user: [2J   " + "x" * 200 + "\n"

    def test_a_scan_ends_at_its_budget(self, client: RedisClient) -> None:
        client.set_many({f"user:{number}": "1" for number in range(5000)}, ttl=60)
        before = client.execute("INFO")["total_commands_processed"]

        found = DatabaseOperations({"caches": client}).keys("caches", "none", budget=1000)

        assert found == []
        assert client.execute("INFO")["total_commands_processed"] - before < 10

    def test_slow_commands_are_shown_by_the_kind_of_their_key(self, client: RedisClient) -> None:
        client.execute("CONFIG", "SET", "slowlog-log-slower-than", "0")
        client.set(keys.username_lookup("jane"), "secret", ttl=60)
        client.execute("GET", "other:secret")
        client.execute("EVAL", "return 1", "1", keys.session("secret"))
        client.execute("EVAL", "return 1", "0")
        client.execute("PING")
        client.execute("CONFIG", "SET", "slowlog-log-slower-than", "-1")

        found = DatabaseOperations({"caches": client}).slowlog("caches", limit=6)

        assert [(each.command, each.kind) for each in found] == [
            ("PING", None),
            ("EVAL", None),
            ("EVAL", "session"),
            ("GET", None),
            ("SET", "user:lookup:username"),
            ("CONFIG", None),
        ]
        assert [each.id for each in found] == sorted((each.id for each in found), reverse=True)
        assert 0 <= min(each.milliseconds for each in found) < 1000
        assert "secret" not in repr(found)

    def test_what_the_server_says(self, client: RedisClient) -> None:
        databases = DatabaseOperations({"caches": client})

        assert databases.info("caches")["role"] == "master"
        assert databases.memory("caches")["used_memory"] > 0
        with pytest.raises(Unknown, match="choose from caches"):
            databases.info("other")

    def test_slow_commands_are_shown_without_what_they_contain(
        self, client: RedisClient, store: SessionStore
    ) -> None:
        client.execute("CONFIG", "SET", "slowlog-log-slower-than", "0")
        session = store.create(7, {"role": "user"})
        store.load(session.session_id)
        client.set(keys.user(7), '{"email":"secret@example.com"}', ttl=60)
        client.execute("GET", "secret-key")
        client.execute("CONFIG", "SET", "slowlog-log-slower-than", "-1")

        shown = DatabaseOperations({"caches": client}).slowlog("caches")

        found = {(each.command, each.kind) for each in shown}
        assert found >= {("SET", "user"), ("EVALSHA", "session"), ("GET", None)}
        assert not any(text in repr(shown) for text in ("secret", session.session_id))
        assert all(each.milliseconds >= 0 for each in shown)

    def test_the_newest_slow_commands_come_first_and_no_more_than_asked_for(
        self, client: RedisClient
    ) -> None:
        client.execute("CONFIG", "SET", "slowlog-log-slower-than", "0")
        for _ in range(5):
            client.execute("TIME")

        shown = DatabaseOperations({"caches": client}).slowlog("caches", limit=3)

        assert len(shown) == 3
        assert [each.id for each in shown] == sorted((each.id for each in shown), reverse=True)
