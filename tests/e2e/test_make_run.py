"""`make run` and the targets beside it, as a new user of the repository meets them."""

import json
import os
import shlex
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from common.pyportal_common.testing.documents import blocks_of
from local.portal import LocalSettings, Secrets

from ..portal_api import wait_until
from .conftest import ROOT, NewPortal, Portal, make


def test_five_registrations_work_and_the_sixth_is_refused(own_portal: Portal) -> None:
    responses = [own_portal.register(f"john_doe{n}") for n in range(6)]

    assert [response.status for response in responses] == [201] * 5 + [429]
    assert [response.headers["X-RateLimit-Remaining"] for response in responses] == list("432100")
    retry_after = int(responses[5].headers["Retry-After"])
    assert 1 <= retry_after <= 60
    assert responses[5].body == {
        "error": "Rate limit exceeded",
        "code": "rate-limit-exceeded",
        "retry_after": retry_after,
    }

    cached = json.loads(own_portal.redis("get user:1"))
    assert next(iter(cached)) == "_v"  # the version of the document
    del cached["_v"]
    assert cached == responses[0].body["user"]
    assert "password" not in str(cached).lower()
    assert 3400 < int(own_portal.redis("ttl user:1")) <= 3600
    assert own_portal.redis("get user:lookup:username:john_doe0") == "1"
    assert own_portal.redis("get user:lookup:email:john_doe0@example.com") == "1"
    assert own_portal.redis("config get appendonly").split() == ["appendonly", "yes"]


def test_the_commands_of_the_page_work(new_portal: NewPortal) -> None:
    portal = new_portal(RATE_LIMIT_REGISTER="5/15")
    portal.start()
    blocks = blocks_of(ROOT / "docs" / "running.md")
    commands = "".join(block.code for block in blocks if not block.not_run)
    for port, name in ((5001, "usermanagement"), (5003, "notification")):
        commands = commands.replace(f"localhost:{port}", f"localhost:{portal.ports[name]}")
    mails = shlex.quote(str(portal.data_dir / "mail"))
    wait_for_mail = f"until ls {mails}/*.eml >/dev/null 2>&1; do sleep 0.1; done; cat {mails}/"

    done = subprocess.run(
        ["bash", "-ex"],
        input=commands.replace("cat data/mail/", wait_for_mail),
        cwd=ROOT,
        env=portal.environment | {"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    for part in (
        "HTTP/1.1 201",
        '"username":"john_doe"',
        "409\n409\n409\n409\n429\n",
        "/app/verify#token=",
        '"user_id":1',
        '"template":"welcome"',
        '"notificationId":1',
        "Users: amelia and bessie",
    ):
        assert part in done.stdout


@pytest.mark.parametrize(
    ("number", "to_group"),
    [
        (signal.SIGINT, True),
        pytest.param(signal.SIGTERM, False, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, True, marks=pytest.mark.slow),
    ],
)
def test_it_stops_with_all_its_processes(
    own_portal: Portal, number: signal.Signals, to_group: bool
) -> None:
    # make, local.run, supervisor, Redis; for each service gunicorn, its two workers, the job worker
    processes = 4 + sum(2 + len(service.processes) for service in LocalSettings().services)
    wait_until(lambda: len(own_portal.processes()) == processes, seconds=10)

    assert own_portal.signal(number, to_group=to_group) < 15

    wait_until(lambda: own_portal.processes() == [], seconds=1)
    with socket.socket() as free:
        free.bind(("127.0.0.1", own_portal.redis_port))


@pytest.mark.slow
def test_a_second_start_finds_the_data(own_portal: Portal) -> None:
    own_portal.register("john_doe")
    own_portal.redis("set kept yes")
    own_portal.signal(signal.SIGINT, to_group=True)

    own_portal.start()

    assert own_portal.redis("get kept") == "yes"
    assert own_portal.register("john_doe").status == 409


def test_a_new_service_gets_a_token_and_the_others_keep_theirs(tmp_path: Path) -> None:
    settings = LocalSettings.load(data_dir=tmp_path)
    created = Secrets.stored(settings)
    older = created.model_copy(deep=True)
    del older.service_tokens["notification"]
    (tmp_path / "secrets.json").write_text(older.model_dump_json(), "utf-8")

    now = Secrets.stored(settings)

    assert now == Secrets.stored(settings)
    assert now.webhook_secret == created.webhook_secret
    assert now.service_tokens.keys() == created.service_tokens.keys()
    assert older.service_tokens.items() <= now.service_tokens.items()
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600


def test_damaged_secrets_stop_the_start_with_their_name(tmp_path: Path) -> None:
    (tmp_path / "secrets.json").write_text('{"service_tok')

    with pytest.raises(SystemExit, match=r"secrets\.json is damaged\. Delete it"):
        Secrets.stored(LocalSettings.load(data_dir=tmp_path))


def test_the_banner_names_every_address_and_the_next_steps(portal: Portal) -> None:
    output = portal.output()

    assert f"Open it in a browser:\n  http://localhost:{portal.port}/app\n" in output
    for port in portal.ports.values():
        assert f"http://localhost:{port}/docs" in output
        assert f"http://localhost:{port}/console" in output
    assert f"127.0.0.1:{portal.redis_port}" in output
    for step in ("curl -i localhost", "make redis", "make seed", "create-admin", "Ctrl-C"):
        assert step in output


def test_log_lines_start_with_the_name_of_their_process(portal: Portal) -> None:
    portal.request("GET", "/nothing", **{"X-Request-ID": "look-for-me"})

    wait_until(lambda: "look-for-me" in portal.output(), seconds=3)
    lines = portal.output().splitlines()
    assert any(line.startswith("redis           | ") for line in lines)
    line = next(line for line in lines if "look-for-me" in line)
    assert line.startswith("usermanagement  | ")
    assert "GET /nothing -> 404" in line


@pytest.mark.parametrize(
    ("variable", "advice"),
    [
        ("REDIS_PORT", "set REDIS_PORT, or REDIS_URL to use the Redis there."),
        ("USERMANAGEMENT_PORT", "set USERMANAGEMENT_PORT."),
    ],
)
def test_a_busy_port_stops_the_start_with_advice(
    new_portal: NewPortal, variable: str, advice: str
) -> None:
    portal = new_portal()
    port = portal.environment[variable]
    with socket.socket() as other:
        other.bind(("127.0.0.1", int(port)))
        other.listen()

        done = portal.make("run")

    first, *others = (done.stdout + done.stderr).splitlines()
    assert done.returncode != 0
    assert first == f"Port {port} is in use: {advice}"
    assert [line for line in others if not line.startswith("make")] == []


def test_two_portals_cannot_share_a_folder(new_portal: NewPortal, portal: Portal) -> None:
    second = new_portal(DATA_DIR=str(portal.data_dir))

    done = second.make("run")

    assert done.returncode != 0
    assert "The portal is already running" in done.stderr
    assert portal.request("GET", "/health").status == 200


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variable", "value", "accepted"),
    [
        ("RATE_LIMIT_REGISTER", "often", "5/60"),
        ("DATABASE_URL", "foo", "postgresql+psycopg://"),
        ("WORKER_THREADS", "0", "from 1 to 64"),
        ("LOG_FORMAT", "xml", "'text' or 'json'"),
        ("REDIS_PORT", "99999", "65535"),
        ("MAX_BODY_BYTES", "-1", "1024"),
    ],
)
def test_an_invalid_variable_stops_the_start_with_its_name(
    new_portal: NewPortal, variable: str, value: str, accepted: str
) -> None:
    portal = new_portal(**{variable: value})

    done = portal.make("run")

    assert done.returncode != 0
    line = done.stderr.splitlines()[0]
    assert variable in line
    assert accepted in line
    assert portal.processes() == []


def test_a_port_cannot_be_used_twice(new_portal: NewPortal) -> None:
    portal = new_portal()
    portal.environment["NOTIFICATION_PORT"] = str(portal.port)

    assert "The ports must differ" in portal.make("run").stderr


@pytest.mark.parametrize(
    ("variable", "scheme", "line"),
    [
        ("REDIS_URL", "redis", "REDIS_URL: Redis 127.0.0.1:1 is unavailable"),
        ("DATABASE_URL", "postgresql+psycopg", "usermanagement cannot start: "),
    ],
)
def test_an_unavailable_server_stops_the_start(
    new_portal: NewPortal, variable: str, scheme: str, line: str
) -> None:
    url = f"{scheme}://portal:geheim@127.0.0.1:1"

    done = new_portal(**{variable: url}).make("run")

    first = done.stderr.splitlines()[0]
    assert first.startswith(line)
    assert "connect" in first.lower()
    assert "geheim" not in done.stderr + done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", ["with blank", "per%cent %s ?x=1&y", "quo'te\"s ;#"])
def test_the_folder_may_have_any_name(new_portal: NewPortal, name: str) -> None:
    portal = new_portal()
    portal.data_dir = portal.data_dir.parent / "around" / name
    portal.environment["DATA_DIR"] = str(portal.data_dir)
    portal.start()

    assert portal.register("john_doe").status == 201
    assert portal.redis("get user:lookup:username:john_doe") == "1"

    assert [folder.name for folder in portal.data_dir.parent.iterdir()] == [name]
    assert (portal.data_dir / "usermanagement.sqlite3").exists()
    assert (portal.data_dir / "logs" / "redis.log").exists()


def test_only_the_owner_can_read_the_data(portal: Portal) -> None:
    files = [path for path in portal.data_dir.rglob("*") if path.is_file()]

    assert portal.data_dir / "usermanagement.sqlite3" in files
    assert [path for path in files if path.stat().st_mode & 0o077] == []


def test_a_folder_with_other_files_is_refused(new_portal: NewPortal) -> None:
    portal = new_portal()
    portal.data_dir.mkdir()
    (portal.data_dir / "redis").mkdir()

    assert "contains other files" in portal.make("run").stderr
    assert "is not the data folder of a portal" in portal.make("reset").stderr
    assert (portal.data_dir / "redis").is_dir()


@pytest.mark.slow
def test_it_stops_when_its_terminal_is_closed(new_portal: NewPortal) -> None:
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
    wait_until(lambda: (portal.data_dir / "run" / "redis_url.json").exists(), seconds=90)
    os.close(read)

    os.killpg(process.pid, signal.SIGHUP)

    process.wait(15)
    wait_until(lambda: portal.processes() == [], seconds=1)


@pytest.mark.slow
def test_it_uses_the_redis_of_redis_url(new_portal: NewPortal, portal: Portal) -> None:
    guest = new_portal(REDIS_URL=f"redis://127.0.0.1:{portal.redis_port}/9")
    guest.start()

    registered = guest.register("guest")

    assert registered.status == 201
    assert portal.redis("-n 9 get user:lookup:username:guest") == str(registered.body["user"]["id"])
    assert not (guest.data_dir / "valkey").exists()


@pytest.mark.slow
def test_it_uses_the_password_of_redis_and_shows_it_nowhere(new_portal: NewPortal) -> None:
    portal = new_portal(REDIS_PASSWORD='ge#h "eim%/')
    portal.start()
    portal.register("john_doe")

    assert portal.redis("get user:lookup:username:john_doe") == "1"
    with socket.create_connection(("127.0.0.1", portal.redis_port)) as connection:
        connection.sendall(b"GET user:1\r\n")
        assert connection.recv(100).startswith(b"-NOAUTH")
    for pid in portal.processes():
        assert "eim%" not in Path(f"/proc/{pid}/cmdline").read_text()
    assert "eim%" not in portal.output()


class TestOtherTargets:
    def test_redis_without_a_command_is_a_prompt(self, portal: Portal) -> None:
        portal.make("redis", args="set greeting hello ex 60")

        done = portal.make("redis", stdin="get greeting\nselect 1\nget greeting\nnonsense\n")

        assert "hello" in done.stdout
        assert "unknown command" in done.stdout

    def test_flask_runs_a_command_of_a_service(self, portal: Portal) -> None:
        done = portal.make("flask", service="usermanagement", args="routes")

        assert "/api/v1/airliner/registerUser" in done.stdout

    def test_an_unclosed_quotation_is_reported(self, portal: Portal) -> None:
        done = portal.make("redis", args="get 'unclosed")

        assert done.stderr.splitlines()[0] == "args: No closing quotation"

    def test_redis_without_a_server_fails_with_a_message(self, new_portal: NewPortal) -> None:
        done = new_portal().make("redis", args="ping")

        assert done.returncode != 0
        assert done.stderr.startswith("Redis at 127.0.0.1:")
        assert "is unavailable" in done.stderr

    def test_a_relative_folder_is_relative_to_the_repository(self, portal: Portal) -> None:
        folder = os.path.relpath(portal.data_dir, ROOT)

        done = portal.make("flask", service="usermanagement", args="db upgrade", DATA_DIR=folder)

        assert done.returncode == 0
        assert "Running upgrade" not in done.stderr  # the database was up to date
        assert not list((ROOT / "usermanagement-service").glob("*data*"))

    def test_an_unknown_service_is_reported_with_the_known_ones(self, portal: Portal) -> None:
        done = portal.make("flask", service="payment", args="routes")

        assert done.returncode != 0
        assert 'no service "payment"' in done.stderr
        assert "usermanagement" in done.stderr

    def test_examples_run_unchanged_at_the_prompt(self, portal: Portal) -> None:
        done = portal.make(
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

        assert "got value" in done.stdout, done.stderr
        assert "left 9" in done.stdout
        assert "pong True" in done.stdout
        assert "Error" not in done.stderr

    @pytest.mark.slow
    def test_reset_deletes_the_data_of_a_stopped_portal_only(self, own_portal: Portal) -> None:
        own_portal.register("john_doe")
        (own_portal.data_dir / "mine.txt").write_text("not the portal's")

        assert "Stop it first" in own_portal.make("reset").stderr
        own_portal.signal(signal.SIGINT, to_group=True)
        assert own_portal.make("reset").returncode == 0

        assert [file.name for file in own_portal.data_dir.iterdir()] == ["mine.txt"]
        (own_portal.data_dir / "mine.txt").unlink()
        own_portal.start()
        assert own_portal.register("john_doe").body["user"]["id"] == 1

    def test_make_without_a_target_lists_the_targets(self) -> None:
        output = subprocess.run(
            [make()], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout

        for target in ("run", "redis", "flask", "shell", "reset", "test", "verify", "lint"):
            assert f"make {target} " in output
