"""What the doctor finds: each check with a real server in the wrong state."""

import json
import logging
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from click.testing import CliRunner
from sqlalchemy import event, text

from common.pyportal_common import __version__
from common.pyportal_common.cache_handlers import RedisClient, RedisRefused, RedisSettings, keys
from common.pyportal_common.commands.doctor import doctor_command
from common.pyportal_common.db import Database
from common.pyportal_common.findings import Finding
from common.pyportal_common.jobs import JobsReport
from common.pyportal_common.jobs.outbox import OutboxSettings
from common.pyportal_common.jobs.settings import WorkerSettings
from common.pyportal_common.operations import Doctor, checks
from common.pyportal_common.operations.checks import check_disk, check_migrations, check_sql
from common.pyportal_common.operations.peers import check_peer, check_tokens
from common.pyportal_common.operations.redis_checks import check_database
from common.pyportal_common.redis_server import RedisServer, free_port
from common.pyportal_common.settings import ServiceSettings
from common.pyportal_common.testing.raw_servers import Conversation, RawServer

from .load import ROOT
from .waiting import wait_until

Start = Callable[..., RedisServer]


def ok(name: str = "fine") -> Iterator[Finding]:
    yield Finding(name, "ok", "")


class TestExamination:
    def test_a_check_that_cannot_look_says_so_and_the_others_go_on(
        self, own_client: RedisClient, own_redis: RedisServer
    ) -> None:
        def answer() -> Iterator[Finding]:
            yield Finding("redis", "ok", "")
            own_client.execute("TIME")

        doctor = Doctor({"redis": answer, "fine": ok})
        assert [each.state for each in doctor.examine()] == ["ok", "ok"]

        own_redis.kill()

        first, second, third = doctor.examine()
        assert [first.state, second.state, third.state] == ["ok", "unseen", "ok"]
        assert (second.check, bool(second.remedy)) == ("redis", True)

    def test_one_that_hangs_is_not_waited_for_nor_started_again(self) -> None:
        go_on, calls = threading.Event(), 0

        def hang() -> Iterator[Finding]:
            nonlocal calls
            calls += 1
            yield Finding("hung", "ok", "before")
            go_on.wait(60)

        doctor = Doctor({"hung": hang, "fine": ok}, seconds=0.1)
        for _ in range(3):
            assert [(each.check, each.state) for each in doctor.examine()] == [
                ("hung", "ok"), ("hung", "unseen"), ("fine", "ok"),
            ]  # fmt: skip
        assert calls == 1

        go_on.set()
        wait_until(lambda: [each.state for each in doctor.examine()] == ["ok", "ok"])

    def test_an_error_of_a_check_is_named_without_its_message(self) -> None:
        def fail() -> Iterator[Finding]:
            yield from ()
            raise ValueError("postgresql://user:secret@host")

        [found] = Doctor({"bad": fail}).examine()

        assert (found.state, found.text) == ("unseen", "the check failed with ValueError")

    @pytest.mark.parametrize(("state", "status"), [("ok", 0), ("wrong", 1), ("unseen", 1)])
    def test_the_status_is_1_if_anything_is_wrong(self, state: Any, status: int) -> None:
        text = "lacks " + "+command " * 40
        command = doctor_command(Doctor({"x": lambda: iter([Finding("x", state, text, "do it")])}))

        for_people = CliRunner().invoke(command)
        for_programs = CliRunner().invoke(command, ["--json"])

        assert for_people.exit_code == for_programs.exit_code == status
        [line] = [line for line in for_people.output.splitlines() if "lacks" in line]
        assert line.count("+command") == 40
        assert "do it" in line
        assert json.loads(for_programs.output)["items"][0]["state"] == state


def wrong(found: Iterator[Finding]) -> list[str]:
    return [f"{each.text}; {each.remedy}" for each in found if each.state == "wrong"]


class TestRedis:
    @pytest.fixture
    def client_of(self) -> Iterator[Callable[..., RedisClient]]:
        clients: list[RedisClient] = []

        def client_of(
            server: RedisServer, *, user: str = "", db: int = 0, database: Any = "caches"
        ) -> RedisClient:
            url = server.url.replace("redis://", f"redis://{user}")
            clients.append(RedisClient.connect(RedisSettings.load(url=url, _env_file=None), db=db))
            clients[-1].uses(keys.kinds_in(database, "usermanagement"))
            return clients[-1]

        yield client_of
        for client in clients:
            client.close()

    def test_of_a_server_as_ours_nothing_is_wrong(
        self, own_redis: RedisServer, client_of: Any
    ) -> None:
        for name in ("caches", "sessions"):
            client = client_of(own_redis, database=name)

            [found] = check_database(name, client, "usermanagement")

            assert found.state == "ok"
            assert found.milliseconds is not None
            assert "Redis 7" in found.text

    @pytest.mark.parametrize(
        "rules", ["-pexpire", "-set", "-mget -exists", "-bzpopmin", "-slowlog", "-info", "-time"]
    )
    def test_commands_that_the_user_lacks_are_named(
        self, rules: str, own_redis: RedisServer, client_of: Any
    ) -> None:
        with closing(redis.Redis(port=own_redis.port)) as admin:
            given = f"on >secret ~* +@all {rules}".split()
            admin.execute_command("ACL SETUSER", "pyportal", *given)
        client = client_of(own_redis, user="pyportal:secret@")

        found = " ".join(self.found(client))

        assert "lacks " + rules.replace("-", "+") in found
        assert "ACL" in found
        assert "secret" not in found
        assert client.breaker.status(client.name).state == "ok" or rules in {"-info", "-time"}

    @staticmethod
    def found(client: RedisClient, name: str = "caches") -> list[str]:
        doctor = Doctor({"redis": lambda: check_database(name, client, "usermanagement")})
        return wrong(iter(doctor.examine()))

    @pytest.mark.parametrize(
        ("options", "db", "database", "words"),
        [
            ({"databases": "2"}, 2, "caches", ["DB index", "REDIS_DB"]),
            ({"requirepass": "s3cret"}, 0, "caches", ["NOAUTH", "REDIS_PASSWORD"]),
            ({"appendonly": "no"}, 0, "sessions", ["restart ends all sessions", "appendonly yes"]),
            (
                {"maxmemory": "100mb", "maxmemory-policy": "allkeys-lru"},
                0,
                "sessions",
                ["evicts sessions", "noeviction"],
            ),
            ({"replicaof": "127.0.0.1 1"}, 0, "caches", ["READONLY", "master"]),
        ],
    )
    def test_a_server_in_the_wrong_state(
        self,
        options: dict[str, str],
        db: int,
        database: str,
        words: list[str],
        start_redis: Start,
        client_of: Any,
    ) -> None:
        client = client_of(start_redis(**options), db=db, database=database)

        [line, *_] = self.found(client, database)

        for word in words:
            assert word in line
        assert "s3cret" not in line

    def test_caches_need_no_append_only_file(self, start_redis: Start, client_of: Any) -> None:
        assert self.found(client_of(start_redis(appendonly="no"))) == []

    def test_memory_that_is_nearly_full(self, own_redis: RedisServer, client_of: Any) -> None:
        client = client_of(own_redis)
        for number in range(30):  # the server's own need varies by less
            client.set(f"user:{number}", "x" * 1_000_000, ttl=60)
        used = client.execute("INFO")["used_memory"]
        client.execute("CONFIG", "SET", "maxmemory", int(used * 1.5))
        assert self.found(client) == []
        client.execute("CONFIG", "SET", "maxmemory", int(used * 1.05))

        [line] = self.found(client)

        assert "its memory is 9" in line

    def test_a_disk_that_cannot_be_written(self, own_redis: RedisServer, client_of: Any) -> None:
        client = client_of(own_redis)
        shutil.rmtree(own_redis.directory)
        with suppress(RedisRefused):
            client.execute("BGREWRITEAOF")
        wait_until(lambda: client.execute("INFO")["aof_last_bgrewrite_status"] != "ok")

        assert "cannot write to its disk: aof_last_bgrewrite_status is err" in self.found(client)[0]

    def test_another_service_in_the_same_database(
        self, own_redis: RedisServer, client_of: Any
    ) -> None:
        client = client_of(own_redis)
        for own in ("user:7", "session:7", "user:sessions:7", "x"):
            client.set(own, "1", ttl=60)
        assert self.found(client) == []
        client.set(keys.notification(7), "1", ttl=60)

        [line] = self.found(client)

        assert "notification has its caches in this database, too; give each" in line

    def test_a_clock_that_is_wrong(self, own_redis: RedisServer, client_of: Any) -> None:
        def clock() -> float:
            return time.time() + 10

        found = check_database("caches", client_of(own_redis), "usermanagement", clock)

        [line] = wrong(found)
        assert "its clock is 10 s off ours" in line

    def test_a_server_that_hangs_or_is_down_is_unseen(
        self, own_redis: RedisServer, client_of: Any
    ) -> None:
        client = client_of(own_redis)
        doctor = Doctor({"redis": lambda: check_database("caches", client, "usermanagement")})
        for outage in (own_redis.pause, own_redis.kill):
            outage()

            [found] = doctor.examine()

            assert (found.state, "unavailable" in found.text) == ("unseen", True)


class TestSql:
    def test_a_database_that_answers(self, sql_url: str) -> None:
        with closing(Database(sql_url)) as database:
            [found] = check_sql(database)

        assert found.state == "ok"
        assert found.milliseconds is not None
        assert any(f"{name} {number}" in found.text for name in ("sqlite", "postgresql")
                   for number in range(3, 30))  # fmt: skip

    def test_one_that_another_process_keeps_locked(self, tmp_path: Path) -> None:
        path = tmp_path / "sql"
        with closing(Database(f"sqlite:///{path}")) as database:
            assert wrong(check_sql(database)) == []
            with closing(sqlite3.connect(path, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                began = time.monotonic()

                [line] = wrong(check_sql(database))

                assert time.monotonic() - began < 2.5
            assert wrong(check_sql(database)) == []

        assert "cannot be written: database is locked; end the process" in line

    def test_a_server_that_only_reads(self, sql_url: str) -> None:
        with closing(Database(sql_url)) as database:
            if database.engine.dialect.name == "postgresql":

                @event.listens_for(database.engine, "connect")
                def only_read(connection: Any, _: object) -> None:
                    connection.read_only = True

                [line] = wrong(check_sql(database))
            else:
                [line] = wrong(checks.postgresql_writes(is_read_only=True))

        assert "cannot be written: the server is a standby" in line
        assert "primary" in line

    def test_without_sql_it_is_unseen_and_no_password_is_shown(self) -> None:
        url = f"postgresql+psycopg://portal:s3cret@127.0.0.1:{free_port()}/postgres"
        with closing(Database(url)) as database:
            [found] = Doctor({"sql": lambda: check_sql(database)}).examine()

        assert (found.state, "refused" in found.text) == ("unseen", True)
        assert "s3cret" not in found.text

    @pytest.mark.parametrize(
        ("name", "version", "is_wrong"),
        [
            ("postgresql", (13, 22), True),
            ("postgresql", (14,), False),
            ("sqlite", (3, 34, 1), True),
            ("sqlite", (3, 35, 0), False),
        ],
    )
    def test_old_servers(self, name: str, version: tuple[int, ...], is_wrong: bool) -> None:
        assert bool(wrong(checks.sql_version(name, version))) == is_wrong

    @pytest.mark.parametrize(("seconds", "is_wrong"), [(0, False), (9, True), (-9, True)])
    def test_clocks(self, seconds: int, is_wrong: bool) -> None:
        now = datetime.now(UTC) + timedelta(seconds=seconds)

        assert bool(wrong(checks.sql_clock(now))) == is_wrong

    def test_comparing_revisions_logs_nothing(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        with closing(Database(f"sqlite:///{tmp_path / 'sql'}")) as database:
            with database.engine.begin() as connection:
                connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32))"))
                connection.execute(text("INSERT INTO alembic_version VALUES ('0001')"))

            with caplog.at_level(logging.INFO):
                [line] = wrong(
                    check_migrations(database, ROOT / "usermanagement-service/migrations")
                )

        assert "the schema is at 0001" in line
        assert caplog.records == []

    def test_a_schema_that_is_not_migrated(self, sql_url: str) -> None:
        with closing(Database(sql_url)) as database:
            [line] = wrong(check_migrations(database, ROOT / "usermanagement-service/migrations"))

        assert "the schema is at nothing" in line
        assert "db upgrade" in line


class TestConsistency:
    def found(self, status: int, metrics: str, monkeypatch: pytest.MonkeyPatch) -> Finding:
        def talk(client: Conversation) -> None:
            client.hear()
            head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(metrics)}\r\n\r\n"
            client.say((head + metrics).encode())

        with closing(RawServer(talk)) as server:
            monkeypatch.setenv("NOTIFICATION_URL", server.url)
            check = partial(checks.check_consistency, "notification")
            [found] = Doctor({"consistency": check}).examine()
        return found

    def test_stale_values_that_are_known(self, monkeypatch: pytest.MonkeyPatch) -> None:
        metrics = (
            'cache_staleness_seconds{cache="user",worker="1"} 0\n'
            'cache_staleness_seconds{cache="user",worker="2"} 3.5\n'
            'cache_staleness_seconds{cache="booking"} 0\n'
        )

        found = self.found(200, metrics, monkeypatch)
        fine = self.found(200, metrics.replace("3.5", "0"), monkeypatch)

        assert (found.state, found.text) == ("wrong", "Redis holds stale values of user")
        assert "`cache verify`" in found.remedy
        assert fine.state == "ok"

    def test_without_metrics_it_is_unseen(self, monkeypatch: pytest.MonkeyPatch) -> None:
        found = self.found(503, "", monkeypatch)

        assert (found.state, found.text) == ("unseen", "/metrics of notification answered 503")


class TestJobs:
    @pytest.mark.parametrize(
        ("check", "state", "report", "words"),
        [
            (
                "workers",
                "none",
                {"workers": 0},
                ["no worker has reported for 15 s; start a worker"],
            ),
            (
                "workers",
                "silent",
                {"silent": [f"host:{number}" for number in range(9)]},
                ["a worker has not reported for 15 s or more: host:0, ", "host:4; restart it"],
            ),
            (
                "jobs",
                "late",
                {"oldest_due_seconds": {"tasks": 5.0, "exports": 90.0}},
                ["a job of exports has been due for 90 s; start more workers"],
            ),
            (
                "jobs",
                "paused",
                {"paused": frozenset({"tasks", "exports"})},
                ["paused: exports, tasks; `jobs resume exports` when"],
            ),
            (
                "messages",
                "refused",
                {"failed_messages": {"notification": 3}},
                ["other services have refused messages: 3 to notification; see `outbox list`"],
            ),
        ],
    )
    def test_troubles_are_sentences(
        self, check: str, state: str, report: dict[str, Any], words: list[str]
    ) -> None:
        read = JobsReport(
            **{
                "workers": 1,
                "silent": [],
                "oldest_due_seconds": {},
                "paused": frozenset(),
                "failed_messages": {},
                **report,
            }
        )
        services: Any = SimpleNamespace(
            monitor=SimpleNamespace(report=lambda: read, states=lambda: {check: state}),
            worker_settings=WorkerSettings.load(),
        )

        [line] = wrong(checks.check_jobs(services))

        for word in words:
            assert word in line


class TestDisk:
    def test_a_folder_that_does_not_exist_yet(self, tmp_path: Path) -> None:
        [found] = check_disk(tmp_path / "a" / "b")

        assert (found.state, "GiB" in found.text) == ("ok", True)

    def test_a_full_disk(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(checks, "_MIN_FREE", 1.1)

        [line] = wrong(check_disk(tmp_path))

        assert "free at DATA_DIR; delete" in line


OWN, OTHER = "a-secret-token-of-ours", "a-secret-token-of-theirs"
TOKENS = f"taskprocessing:{OWN},usermanagement:{OTHER},notification:third-{OTHER}"


class TestTokens:
    def found(self, own: str = OWN, tokens: str = TOKENS, **settings: Any) -> list[str]:
        given = ServiceSettings.load(service_tokens=tokens, **settings)
        found = list(check_tokens("taskprocessing", given, OutboxSettings.load(service_token=own)))
        for token in (OWN, OTHER, "development-"):
            assert token not in str(found)
        return wrong(iter(found))

    def test_nothing_is_wrong(self) -> None:
        assert self.found() == []
        assert self.found(public_url="https://portal.example.com") == []

    def test_none(self) -> None:
        own, *others = self.found("", "")

        assert "SERVICE_TOKEN is not set" in own
        assert [line.split()[4] for line in others] == ["usermanagement,", "notification,"]

    def test_that_of_another_service(self) -> None:
        [line] = self.found(OTHER)

        assert "SERVICE_TOKEN is the token of usermanagement" in line

    @pytest.mark.parametrize("url", ["http://localhost:5001", "https://portal.example.com"])
    def test_those_of_development_are_for_this_machine_only(self, url: str) -> None:
        tokens = TOKENS.replace("third", "development")

        found = self.found(tokens=tokens, public_url=url)

        assert len(found) == ("localhost" not in url)
        assert not found or "of notification; set secret ones" in found[0]


class TestPeers:
    @pytest.fixture
    def serve(self) -> Iterator[Callable[[Mapping[str, bytes]], str]]:
        servers: list[RawServer] = []

        def serve(answers: Mapping[str, bytes]) -> str:
            def talk(client: Conversation) -> None:
                path = client.hear().split()[1].decode()
                answer = answers["/" if path == "/" else "token"]
                client.say(answer) if answer else client.wait()

            servers.append(RawServer(talk))
            return servers[-1].url

        yield serve
        for server in servers:
            server.close()

    @staticmethod
    def answer(status: int, body: Any = None) -> bytes:
        content = json.dumps(body).encode()
        return f"HTTP/1.1 {status} X\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content

    def found(self, url: str) -> list[Finding]:
        outbox = OutboxSettings.load(notification_url=url, service_token=OWN)
        found = list(check_peer("notification", outbox))
        assert OWN not in str(found)
        return found

    def home(self, **changes: str) -> bytes:
        return self.answer(200, {"service": "notification", "version": __version__, **changes})

    def test_one_that_accepts_our_token(self, serve: Any) -> None:
        [found] = self.found(serve({"/": self.home(), "token": self.answer(422)}))

        assert found.state == "ok"
        assert found.milliseconds is not None

    @pytest.mark.parametrize(
        ("status", "state", "words"),
        [
            (401, "wrong", "does not accept our SERVICE_TOKEN"),
            (503, "unseen", "answers 503"),
            (404, "unseen", "answers 404"),
        ],
    )
    def test_one_that_does_not(self, serve: Any, status: int, state: str, words: str) -> None:
        answers = {"/": self.home(), "token": self.answer(status)}

        _, found = self.found(serve(answers))

        assert (found.state, words in found.text) == (state, True)

    def test_one_of_another_release(self, serve: Any) -> None:
        answers = {"/": self.home(version="0.0.9"), "token": self.answer(422)}

        _, found = self.found(serve(answers))

        assert found.text == f"is release 0.0.9, and this one is {__version__}"

    @pytest.mark.parametrize("body", [{"service": "shop"}, [], None, 7])
    def test_another_server_at_its_address(self, serve: Any, body: Any) -> None:
        """It does not get our token."""
        [found] = self.found(serve({"/": self.answer(200, body)}))

        assert (found.state, found.remedy) == ("wrong", "set NOTIFICATION_URL")

    def test_one_that_hangs_or_is_down_is_unseen(self, serve: Any) -> None:
        hung = serve({"/": b"", "token": b""})
        for url in (hung, f"http://127.0.0.1:{free_port()}"):
            [found] = self.found(url)

            assert (found.state, "NOTIFICATION_URL" in found.remedy) == ("unseen", True)
