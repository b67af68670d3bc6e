"""`make run` and its relatives, as somebody meets them who has just cloned the repository."""

import json
import os
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from local.portal import LocalSettings, Secrets

from .conftest import ROOT, Portal, make, plain, wait_until

NewPortal = Callable[..., Portal]


def test_a_newcomers_walk(new_portal: NewPortal) -> None:
    """Five registrations, a sixth too many, and what Redis holds then."""
    portal = new_portal()
    portal.start()

    answers = [portal.register(f"john_doe{n}") for n in range(6)]

    assert [answer.status for answer in answers] == [201] * 5 + [429]
    assert [answer.headers["X-RateLimit-Remaining"] for answer in answers] == list("432100")
    retry_after = int(answers[5].headers["Retry-After"])
    assert 1 <= retry_after <= 60
    assert answers[5].body == {"error": "Rate limit exceeded", "retry_after": retry_after}

    cached = json.loads(portal.redis("get user:1"))
    assert cached == answers[0].body["user"]
    assert "password" not in str(cached).lower()
    assert 3400 < int(portal.redis("ttl user:1")) <= 3600
    assert portal.redis("get user:lookup:username:john_doe0") == "1"
    assert portal.redis("get user:lookup:email:john_doe0@example.com") == "1"
    assert portal.redis("config get appendonly").split() == ["appendonly", "yes"]


@pytest.mark.parametrize(
    ("number", "to_all"), [(signal.SIGINT, True), (signal.SIGTERM, False), (signal.SIGTERM, True)]
)
def test_it_ends_and_leaves_nothing_behind(
    new_portal: NewPortal, number: signal.Signals, to_all: bool
) -> None:
    portal = new_portal()
    portal.start()
    # make, ours, supervisor, Redis; for each service gunicorn, two workers, and what does tasks
    processes = 4 + sum(2 + len(service.processes) for service in LocalSettings().services)
    wait_until(lambda: len(portal.processes()) == processes, seconds=10)

    assert portal.signal(number, to_all=to_all) < 15

    wait_until(lambda: portal.processes() == [], seconds=1)
    with socket.socket() as free:
        free.bind(("127.0.0.1", portal.redis_port))


def test_users_are_there_after_a_second_start_and_that_is_quick(new_portal: NewPortal) -> None:
    portal = new_portal()
    portal.start()
    portal.register("john_doe")
    portal.redis("set kept yes")
    portal.signal(signal.SIGINT, to_all=True)

    assert portal.start() < 20

    assert portal.redis("get kept") == "yes"
    assert portal.register("john_doe").status == 409


def test_a_service_that_is_new_gets_a_token_and_the_others_keep_theirs(tmp_path: Path) -> None:
    settings = LocalSettings.load(data_dir=tmp_path)
    made = Secrets.of(settings)
    older = made.model_copy(deep=True)
    del older.service_tokens["notification"]
    (tmp_path / "secrets.json").write_text(older.model_dump_json(), "utf-8")

    now = Secrets.of(settings)

    assert now == Secrets.of(settings)
    assert now.webhook_secret == made.webhook_secret
    assert now.service_tokens.keys() == made.service_tokens.keys()
    assert older.service_tokens.items() <= now.service_tokens.items()
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600


def test_the_table_says_what_listens_where(portal: Portal) -> None:
    said = portal.said()

    for service in LocalSettings().services:
        assert f"http://localhost:{portal.environment[service.port_variable]}" in said
    assert f"127.0.0.1:{portal.redis_port}" in said
    assert "curl -i localhost" in said


def test_logs_carry_the_name_of_their_process(portal: Portal) -> None:
    portal.request("GET", "/nothing", **{"X-Request-ID": "look-for-me"})

    wait_until(lambda: "look-for-me" in portal.said(), seconds=3)
    lines = plain(portal.said()).splitlines()
    assert any(line.startswith("redis           | ") for line in lines)
    line = next(line for line in lines if "look-for-me" in line)
    assert line.startswith("usermanagement  | ")
    assert "GET /nothing -> 404" in line


def test_a_busy_port_is_one_line_with_the_way_out(new_portal: NewPortal) -> None:
    portal = new_portal()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", portal.redis_port))
        taken.listen()

        answer = portal.make("run")

    said = (answer.stdout + answer.stderr).splitlines()
    assert answer.returncode != 0
    assert said[0] == (
        f"Port {portal.redis_port} is in use: set REDIS_PORT, or REDIS_URL to use the Redis there."
    )
    assert [line for line in said[1:] if not line.startswith("make")] == []


def test_a_busy_service_port_names_its_variable(new_portal: NewPortal) -> None:
    portal = new_portal()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", portal.port))
        taken.listen()

        answer = portal.make("run")

    assert f"Port {portal.port} is in use: set USERMANAGEMENT_PORT." in answer.stderr


def test_two_portals_do_not_share_a_folder(new_portal: NewPortal) -> None:
    first, second = new_portal(), new_portal()
    second.environment["DATA_DIR"] = str(first.data_dir)
    first.start()

    answer = second.make("run")

    assert answer.returncode != 0
    assert "The portal runs already" in answer.stderr
    assert first.request("GET", "/health").status == 200


@pytest.mark.parametrize(
    ("variable", "value", "accepted"),
    [
        ("RATE_LIMIT_REGISTER", "often", "5/60"),
        ("LOG_FORMAT", "xml", "'text' or 'json'"),
        ("REDIS_PORT", "99999", "65535"),
        ("MAX_BODY_BYTES", "-1", "1024"),
    ],
)
def test_a_wrong_variable_stops_the_start_by_name(
    new_portal: NewPortal, variable: str, value: str, accepted: str
) -> None:
    portal = new_portal(**{variable: value})

    answer = portal.make("run")

    assert answer.returncode != 0
    line = answer.stderr.splitlines()[0]
    assert variable in line
    assert accepted in line
    assert portal.processes() == []


def test_one_port_for_two_is_refused(new_portal: NewPortal) -> None:
    portal = new_portal()
    portal.environment["NOTIFICATION_PORT"] = str(portal.port)

    answer = portal.make("run")

    assert "Each port can be given once" in answer.stderr


def test_a_redis_that_cannot_be_used_stops_the_start(new_portal: NewPortal) -> None:
    portal = new_portal(REDIS_URL="redis://:geheim@127.0.0.1:1")

    answer = portal.make("run")

    line = answer.stderr.splitlines()[0]
    assert line.startswith("REDIS_URL: Redis 127.0.0.1:1 is unavailable")
    assert "geheim" not in answer.stderr + answer.stdout


def test_a_database_that_cannot_be_reached_stops_the_start(new_portal: NewPortal) -> None:
    portal = new_portal(DATABASE_URL="postgresql+psycopg://portal:geheim@127.0.0.1:1/users")

    answer = portal.make("run")

    line = answer.stderr.splitlines()[0]
    assert line.startswith("usermanagement cannot start: ")
    assert "connection" in line.lower()
    assert "geheim" not in answer.stderr + answer.stdout


@pytest.mark.parametrize("name", ["with blank", "per%cent %s ?x=1&y", "quo'te\"s ;#"])
def test_a_folder_of_any_name_holds_all_data(new_portal: NewPortal, name: str) -> None:
    portal = new_portal()
    portal.data_dir = portal.data_dir.parent / "around" / name
    portal.environment["DATA_DIR"] = str(portal.data_dir)
    portal.start()

    assert portal.register("john_doe").status == 201
    assert portal.redis("get user:lookup:username:john_doe") == "1"

    assert [folder.name for folder in portal.data_dir.parent.iterdir()] == [name]
    assert (portal.data_dir / "usermanagement.sqlite3").exists()
    assert (portal.data_dir / "logs" / "redis.log").exists()


def test_the_data_is_its_owners_alone(portal: Portal) -> None:
    files = [path for path in portal.data_dir.rglob("*") if path.is_file()]

    assert portal.data_dir / "usermanagement.sqlite3" in files
    assert [path for path in files if path.stat().st_mode & 0o077] == []


def test_a_folder_with_other_things_in_it_is_refused(new_portal: NewPortal) -> None:
    portal = new_portal()
    portal.data_dir.mkdir()
    (portal.data_dir / "redis").mkdir()

    answer = portal.make("run")
    reset = portal.make("reset")

    assert "has other things in it" in answer.stderr
    assert "no data of a portal" in reset.stderr
    assert (portal.data_dir / "redis").is_dir()


def test_it_ends_when_its_terminal_goes_away(new_portal: NewPortal) -> None:
    portal = new_portal()
    read, write = os.pipe()
    process = subprocess.Popen(
        [make(), "run"],
        cwd=ROOT,
        env=portal.environment,
        stdout=write,
        stderr=write,
        start_new_session=True,
    )
    os.close(write)
    wait_until(lambda: (portal.data_dir / "run" / "redis_url.json").exists(), seconds=20)
    os.close(read)

    os.killpg(process.pid, signal.SIGHUP)

    process.wait(15)
    wait_until(lambda: portal.processes() == [], seconds=1)


def test_a_launcher_that_was_killed_is_told_of(new_portal: NewPortal) -> None:
    portal = new_portal()
    portal.start()
    portal.signal(signal.SIGKILL, to_all=True)

    answer = portal.make("run")

    supervisor = (portal.data_dir / "run" / "supervisord.pid").read_text().strip()
    assert f"end it with `kill {supervisor}`" in answer.stderr
    os.kill(int(supervisor), signal.SIGTERM)
    wait_until(lambda: portal.processes() == [], seconds=12)


def test_a_redis_that_runs_elsewhere_is_used(new_portal: NewPortal, portal: Portal) -> None:
    guest = new_portal(REDIS_URL=f"redis://127.0.0.1:{portal.redis_port}/9")
    guest.start()

    answer = guest.register("guest")

    assert answer.status == 201
    assert portal.redis("-n 9 get user:lookup:username:guest") == str(answer.body["user"]["id"])
    assert not (guest.data_dir / "valkey").exists()


def test_a_password_for_redis_is_used_and_shown_to_nobody(new_portal: NewPortal) -> None:
    portal = new_portal(REDIS_PASSWORD='ge#h "eim%/')
    portal.start()
    portal.register("john_doe")

    assert portal.redis("get user:lookup:username:john_doe") == "1"
    with socket.create_connection(("127.0.0.1", portal.redis_port)) as connection:
        connection.sendall(b"GET user:1\r\n")
        assert connection.recv(100).startswith(b"-NOAUTH")
    for pid in portal.processes():
        assert "eim%" not in Path(f"/proc/{pid}/cmdline").read_text()
    assert "eim%" not in portal.said()


class TestRelatives:
    def test_redis_without_a_command_is_a_prompt(self, portal: Portal) -> None:
        portal.make("redis", args="set greeting hello ex 60")

        answer = portal.make("redis", stdin="get greeting\nselect 1\nget greeting\nnonsense\n")

        assert "hello" in answer.stdout
        assert "unknown command" in answer.stdout

    def test_flask_commands_of_a_service(self, portal: Portal) -> None:
        answer = portal.make("flask", service="usermanagement", args="routes")

        assert "/api/v1/airliner/registerUser" in answer.stdout

    def test_words_that_do_not_end_are_told(self, portal: Portal) -> None:
        answer = portal.make("redis", args="get 'unclosed")

        assert answer.stderr.splitlines()[0] == "args: No closing quotation"

    def test_redis_says_so_when_there_is_none(self, new_portal: NewPortal) -> None:
        answer = new_portal().make("redis", args="ping")

        assert answer.returncode != 0
        assert answer.stderr.startswith("Could not use Redis at 127.0.0.1:")

    def test_a_relative_folder_is_the_same_for_all(self, portal: Portal) -> None:
        environment = portal.environment | {"DATA_DIR": os.path.relpath(portal.data_dir, ROOT)}

        answer = subprocess.run(
            [make(), "--silent", "flask", "service=usermanagement", "args=db upgrade"],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )

        assert "Running upgrade" not in answer.stderr  # it was up to date
        assert not list((ROOT / "usermanagement-service").glob("*data*"))

    def test_an_unknown_service_is_told_the_known_ones(self, portal: Portal) -> None:
        answer = portal.make("flask", service="payment", args="routes")

        assert answer.returncode != 0
        assert 'no service "payment"' in answer.stderr
        assert "usermanagement" in answer.stderr

    def test_a_prompt_in_which_examples_run_as_they_stand(self, portal: Portal) -> None:
        answer = portal.make(
            "shell",
            service="usermanagement",
            stdin=(
                "from app.redis_helper import UserManagementRedisHelper\n"
                "redis_helper = UserManagementRedisHelper()\n"
                "from common.pyportal_common.cache_handlers import get_redis_client\n"
                "redis_client = get_redis_client(db=0)\n"
                'redis_client.set("key", "value", ttl=60)\n'
                'print("got", redis_client.get("key"))\n'
                "is_allowed, remaining = redis_helper.check_rate_limit(\n"
                '    key=f"user:{user_id}",\n'
                "    limit=10,\n"
                "    window=60\n"
                ")\n"
                'print("left", remaining)\n'
                "user = fetch_user_from_db(123)\n"
                "print(redis_helper.cache_user(123, user, ttl=3600))\n"
                'print("pong", get_redis_client().ping())\n'
            ),
        )

        assert "got value" in answer.stdout, answer.stderr
        assert "left 9" in answer.stdout
        assert "pong True" in answer.stdout
        assert "Error" not in answer.stderr

    def test_reset_removes_the_data_and_not_under_a_running_portal(
        self, new_portal: NewPortal
    ) -> None:
        portal = new_portal()
        portal.start()
        portal.register("john_doe")
        (portal.data_dir / "mine.txt").write_text("not the portal's")

        assert "Stop it first" in portal.make("reset").stderr
        portal.signal(signal.SIGINT, to_all=True)
        assert portal.make("reset").returncode == 0

        assert [file.name for file in portal.data_dir.iterdir()] == ["mine.txt"]
        (portal.data_dir / "mine.txt").unlink()
        portal.start()
        assert portal.register("john_doe").body["user"]["id"] == 1

    def test_without_a_target_make_explains_the_targets(self) -> None:
        said = subprocess.run([make()], cwd=ROOT, capture_output=True, text=True, check=True).stdout

        for target in ("run", "redis", "flask", "shell", "reset", "test", "lint"):
            assert f"make {target} " in said
