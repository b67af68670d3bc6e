"""Rate limits that operators change while the services run: rows in SQL."""

import logging
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from common.pyportal_common.cache_handlers import (
    Admission,
    Charge,
    Limiter,
    RateLimit,
    RedisClient,
    SessionStore,
)
from common.pyportal_common.db import (
    Actor,
    Database,
    LimitOverride,
    LimitOverrides,
    OverridesInForce,
    Transaction,
)
from common.pyportal_common.db.limit_overrides import OVERRIDES, add_overrides_table
from common.pyportal_common.redis_server import free_port
from common.pyportal_common.settings import ServiceSettings
from common.pyportal_common.testing.kit import bearer
from common.pyportal_common.web import login_required, rate_limit

from .load import run_threads
from .round_trips import round_trips
from .waiting import wait_until

LOGIN = RateLimit("login", 10, 60)
READS = RateLimit("reads", 600, 60, "closed")
DECLARED = {limit.name: limit for limit in (LOGIN, READS)}

_METADATA = sa.MetaData()
_AUDIT = sa.Table("audited", _METADATA, sa.Column("text", sa.String(200)))
add_overrides_table(_METADATA)


@pytest.fixture
def database(sql_url: str) -> Iterator[Database]:
    database = Database(sql_url)
    _METADATA.drop_all(database.engine)
    _METADATA.create_all(database.engine)
    yield database
    _METADATA.drop_all(database.engine)
    database.close()


def audit(tx: Transaction, actor: Actor, change: LimitOverride) -> None:
    text = f"{actor.name} {change.name}/{change.role} {change.rate} v{change.version}"
    tx.execute(sa.insert(_AUDIT).values(text=text))


def audited(database: Database) -> list[str]:
    with database.read() as tx:
        return list(tx.scalars(sa.select(_AUDIT.c.text)))


@pytest.fixture
def overrides(database: Database) -> LimitOverrides:
    return LimitOverrides(database, audit=audit)


@pytest.fixture
def make(overrides: LimitOverrides) -> Iterator[Callable[[], OverridesInForce]]:
    """Makes the overrides in force in one process, which reads when it is told to."""
    made: list[OverridesInForce] = []

    def make() -> OverridesInForce:
        made.append(OverridesInForce(overrides, DECLARED, interval_seconds=3600))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def in_force(make: Callable[[], OverridesInForce]) -> OverridesInForce:
    return make()


def put(database: Database, name: str, rate: str, role: str = "") -> None:
    """Write a row behind the back of `LimitOverrides`."""
    with database.begin() as tx:
        tx.execute(sa.delete(OVERRIDES).where(OVERRIDES.c.name == name))
        tx.execute(
            sa.insert(OVERRIDES).values(
                name=name, role=role, rate=rate, version=1, changed_by="x", changed_at=sa.func.now()
            )
        )


class TestOperators:
    def test_an_override_is_set_changed_and_cleared(
        self, overrides: LimitOverrides, database: Database
    ) -> None:
        overrides.set(LOGIN.parse("5/60"), by=Actor("jane"))
        overrides.set(LOGIN.parse(" 7/30 ; shadow "), by=Actor("john"))
        overrides.set(READS.parse("1200/60"), role="admin", by=Actor("jane"))

        assert [(one.name, one.role, one.rate, one.version) for one in overrides.list()] == [
            ("login", "", "7/30;shadow", 2),
            ("reads", "admin", "1200/60", 1),
        ]
        assert overrides.clear("login", by=Actor("jane")) is not None
        assert [one.name for one in overrides.list()] == ["reads"]
        assert audited(database) == [
            "jane login/ 5/60 v1",
            "john login/ 7/30;shadow v2",
            "jane reads/admin 1200/60 v1",
            "jane login/ None v3",
        ]

    def test_versions_also_grow_over_a_clear(self, overrides: LimitOverrides) -> None:
        overrides.set(LOGIN.parse("5/60"), by=Actor("jane"))
        overrides.clear("login", by=Actor("jane"))

        assert overrides.set(LOGIN.parse("5/60"), by=Actor("jane")).version == 3

    def test_clearing_what_is_not_set_changes_and_audits_nothing(
        self, overrides: LimitOverrides, database: Database
    ) -> None:
        assert overrides.clear("login", by=Actor("jane")) is None
        assert audited(database) == []

    def test_what_cannot_be_audited_is_not_changed(self, database: Database) -> None:
        def fail(_tx: Transaction, _by: Actor, _change: LimitOverride) -> None:
            raise LookupError

        overrides = LimitOverrides(database, audit=fail)

        with pytest.raises(LookupError):
            overrides.set(LOGIN.parse("5/60"), by=Actor("jane"))
        put(database, "login", "7/60")
        with pytest.raises(LookupError):
            overrides.clear("login", by=Actor("jane"))

        assert [one.rate for one in overrides.list()] == ["7/60"]


class TestInForce:
    def test_a_change_reaches_another_process_when_it_reads(
        self, overrides: LimitOverrides, make: Callable[[], OverridesInForce]
    ) -> None:
        other = make()
        assert other.current() == {}

        overrides.set(LOGIN.parse("5/60"), by=Actor("jane"))
        overrides.set(READS.parse("9/60;shadow"), role="admin", by=Actor("jane"))
        other.refresh()
        assert other.current() == {
            ("login", ""): replace(LOGIN, limit=5),
            ("reads", "admin"): RateLimit("reads", 9, 60, "closed", shadow=True),
        }

        overrides.clear("login", by=Actor("jane"))
        other.refresh()
        assert [*other.current()] == [("reads", "admin")]

    def test_a_new_process_has_them_at_its_first_request(
        self, overrides: LimitOverrides, make: Callable[[], OverridesInForce]
    ) -> None:
        overrides.set(LOGIN.parse("5/60"), by=Actor("jane"))

        assert [*make().current()] == [("login", "")]

    def test_each_process_reads_them_at_least_once_a_second(self, database: Database) -> None:
        overrides = LimitOverrides(database, audit=audit)
        in_force = OverridesInForce(overrides, DECLARED)
        assert in_force.current() == {}

        overrides.set(LOGIN.parse("5/60"), by=Actor("jane"))

        wait_until(in_force.current, seconds=10)
        in_force.close()
        assert in_force.interval_seconds <= 1

    def test_a_fork_reads_them_with_a_thread_of_its_own(
        self, overrides: LimitOverrides, in_force: OverridesInForce, database: Database
    ) -> None:
        assert in_force.current() == {}
        overrides.set(LOGIN.parse("5/60"), by=Actor("jane"))

        child = os.fork()
        if child == 0:
            database.engine.dispose(close=False)
            os._exit([*in_force.current()] != [("login", "")])

        assert os.waitpid(child, 0)[1] == 0

    def test_one_thread_reads_for_all_threads_of_a_process(self, database: Database) -> None:
        overrides = LimitOverrides(database, audit=audit)
        in_force = OverridesInForce(overrides, DECLARED)
        before = threading.active_count()

        run_threads([in_force.current] * 16)

        assert threading.active_count() == before + 1
        in_force.close()
        wait_until(lambda: threading.active_count() == before)

    @pytest.mark.parametrize("rate", ["0/60", "5/99999999", "many", "", "5/60;shadow;shadow"])
    def test_an_odd_row_leaves_the_last_good_rate(
        self,
        overrides: LimitOverrides,
        in_force: OverridesInForce,
        database: Database,
        caplog: pytest.LogCaptureFixture,
        rate: str,
    ) -> None:
        overrides.set(LOGIN.parse("5/60"), by=Actor("jane"))
        overrides.set(READS.parse("7/60"), by=Actor("jane"))
        in_force.refresh()

        put(database, "login", rate)
        overrides.set(READS.parse("8/60"), by=Actor("jane"))
        for _ in range(3):
            in_force.refresh()

        assert {name: one.rate for (name, _), one in in_force.current().items()} == {
            "login": "5/60",
            "reads": "8/60",
        }
        assert caplog.text.count("An override of rate limit 'login' is not used") == 1

    def test_an_odd_row_in_a_new_process_leaves_the_declared_rate(
        self, overrides: LimitOverrides, in_force: OverridesInForce, database: Database
    ) -> None:
        put(database, "login", "many")
        put(database, "of another release", "5/60")

        in_force.refresh()

        assert in_force.current() == {}
        assert len(overrides.list()) == 2

    def test_the_last_ones_remain_while_sql_is_away(
        self, database: Database, caplog: pytest.LogCaptureFixture
    ) -> None:
        overrides = LimitOverrides(database, audit=audit)
        in_force = OverridesInForce(overrides, DECLARED, interval_seconds=0.01)
        overrides.set(LOGIN.parse("5/60"), by=Actor("jane"))
        caplog.set_level(logging.WARNING)
        assert [*in_force.current()] == [("login", "")]

        OVERRIDES.drop(database.engine)
        wait_until(lambda: "stay as they were last read" in caplog.text)
        assert [*in_force.current()] == [("login", "")]

        OVERRIDES.create(database.engine)
        wait_until(lambda: "are read again" in caplog.text)
        wait_until(lambda: in_force.current() == {})
        assert caplog.text.count("stay as they were last read") == 1
        in_force.close()

    def test_without_sql_from_the_start_the_declared_ones_hold(self) -> None:
        nowhere = Database(f"postgresql+psycopg://portal@127.0.0.1:{free_port()}/postgres")
        in_force = OverridesInForce(LimitOverrides(nowhere, audit=audit), DECLARED)

        assert in_force.current() == {}
        in_force.close()

    def test_each_change_is_logged_once(
        self,
        overrides: LimitOverrides,
        in_force: OverridesInForce,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        caplog.set_level(logging.INFO)
        overrides.set(READS.parse("5/60;shadow"), role="admin", by=Actor("jane"))
        for _ in range(2):
            in_force.refresh()
        overrides.clear("reads", role="admin", by=Actor("jane"))
        for _ in range(2):
            in_force.refresh()

        assert [record.getMessage() for record in caplog.records] == [
            "Rate limit reads for admin is now 5/60;shadow",
            "Rate limit reads for admin is now as before its override",
        ]


class TestLimiter:
    @pytest.fixture
    def limiter(self, redis_client: RedisClient, in_force: OverridesInForce) -> Limiter:
        limiter = Limiter(redis_client, service="test")
        limiter.follow(in_force.current)
        return limiter

    def test_an_override_replaces_the_declared_rate(
        self, limiter: Limiter, overrides: LimitOverrides, in_force: OverridesInForce
    ) -> None:
        overrides.set(LOGIN.parse("2/60"), by=Actor("jane"))
        in_force.refresh()

        decisions = [limiter.hit(Charge(LOGIN, "a")) for _ in range(3)]

        assert [(one.allowed, one.limit) for one in decisions] == [(True, 2), (True, 2), (False, 2)]

    def test_a_cost_above_a_lowered_limit_is_the_whole_limit(
        self, limiter: Limiter, overrides: LimitOverrides, in_force: OverridesInForce
    ) -> None:
        overrides.set(LOGIN.parse("2/60"), by=Actor("jane"))
        in_force.refresh()

        decisions = [limiter.hit(Charge(LOGIN, "a", cost=9)).allowed for _ in range(2)]

        assert decisions == [True, False]

    def test_another_limit_of_that_name_keeps_its_rate(
        self, limiter: Limiter, overrides: LimitOverrides, in_force: OverridesInForce
    ) -> None:
        overrides.set(LOGIN.parse("2/60"), by=Actor("jane"))
        in_force.refresh()

        assert limiter.hit(Charge(RateLimit("login", 100, 3600), "a")).limit == 100

    def test_the_rate_of_a_role_takes_precedence(
        self, limiter: Limiter, overrides: LimitOverrides, in_force: OverridesInForce
    ) -> None:
        overrides.set(LOGIN.parse("2/60"), by=Actor("jane"))
        overrides.set(LOGIN.parse("20/60"), role="admin", by=Actor("jane"))
        in_force.refresh()
        sessions = SessionStore(limiter.client)
        admission = Admission(limiter, sessions)

        def limit_of(role: object) -> int:
            session = sessions.create(7, {"role": role})
            admitted = admission.admit(session.session_id, [Charge(LOGIN, f"{role}")])
            assert admitted.decision is not None
            return admitted.decision.limit

        assert [limit_of(role) for role in ("admin", "user", None, ["admin"])] == [20, 2, 2, 2]
        without = admission.admit("nobody's", [Charge(LOGIN, "a")]).decision
        assert without is not None
        assert without.limit == 2


class Limits(ServiceSettings):
    rate_limit_address: RateLimit = RateLimit("login", 10, 60)
    rate_limit_user: RateLimit = RateLimit("reads", 20, 60)


class TestRoutes:
    @pytest.fixture
    def app(self, make_service: Callable[..., Flask], in_force: OverridesInForce) -> Flask:
        app = make_service(Limits.load())
        app.extensions["pyportal"].limiter.follow(in_force.current)

        @app.get("/own")
        @rate_limit("login")
        @rate_limit("reads", by="user")
        @login_required()
        def own() -> str:
            return ""

        @app.get("/address")
        @rate_limit("login")
        @login_required()
        def address() -> str:
            return ""

        return app

    @pytest.mark.usefixtures("own_commands_only")
    @pytest.mark.parametrize("path", ["/own", "/address"])
    def test_with_overrides_a_request_is_one_round_trip(
        self,
        app: Flask,
        redis_client: RedisClient,
        overrides: LimitOverrides,
        in_force: OverridesInForce,
        path: str,
    ) -> None:
        in_force.declared = app.rate_limits  # type: ignore[attr-defined]  # a service has it
        for role in ("", "admin"):
            overrides.set(LOGIN.parse("9/60"), role=role, by=Actor("jane"))
        in_force.refresh()
        client: FlaskClient = app.test_client(use_cookies=False)
        headers = bearer(SessionStore(redis_client).create(7, {"role": "admin"}).session_id)

        response = client.get(path, headers=headers)

        assert round_trips(redis_client, lambda: client.get(path, headers=headers)) == 1
        assert response.headers["X-RateLimit-Limit"] == "9"
