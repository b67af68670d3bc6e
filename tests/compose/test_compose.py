"""What docker-compose.yml promises. Runs with PYPORTAL_COMPOSE_TESTS=1 where Docker is."""

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from .conftest import (
    API,
    ROOT,
    SERVICES,
    Compose,
    guides_curl,
    on_terms,
    size_in_bytes,
    wait_until,
)
from .desk import Desk
from .mails import mail, token

pytestmark = pytest.mark.slow

LOAD = (ROOT / "tests" / "compose" / "load.py").read_text()
WORKER = "taskprocessing-worker"
PRODUCTION = ("-f", "docker-compose.yml", "-f", "docker-compose.production.yml")
SECRETS = {
    "REDIS_PASSWORD": "a",
    "POSTGRES_PASSWORD": "b",
    "USERS_DB_PASSWORD": "c",
    "TASKS_DB_PASSWORD": "d",
    "NOTIFICATIONS_DB_PASSWORD": "e",
    "USERMANAGEMENT_TOKEN": "f" * 16,
    "TASKPROCESSING_TOKEN": "g" * 16,
    "NOTIFICATION_TOKEN": "h" * 16,
    "PUBLIC_URL": "https://portal.example.com",
}
DATABASES = {
    "usermanagement": {"password": "USERS_DB_PASSWORD", "database": "users@db/users"},
    "taskprocessing": {"password": "TASKS_DB_PASSWORD", "database": "tasks@db/tasks"},
    "notification": {
        "password": "NOTIFICATIONS_DB_PASSWORD",
        "database": "notifications@db/notifications",
    },
}


class TestFiles:
    @pytest.fixture(autouse=True)
    def _on_terms(self) -> None:
        on_terms()

    def test_the_file_is_valid_and_publishes_on_loopback_only(self) -> None:
        services = json.loads(Compose()("config", "--format", "json"))["services"]

        ports = [port for service in services.values() for port in service.get("ports", [])]
        assert len(ports) == 4
        assert {port["host_ip"] for port in ports} == {"127.0.0.1"}
        assert "ports" not in services["db"]

    @pytest.mark.parametrize("missing", SECRETS)
    def test_production_has_no_default_for_a_secret(self, missing: str) -> None:
        said = Compose(**SECRETS | {missing: ""}).errors(*PRODUCTION, "config")

        assert missing in said
        assert "set it in .env" in said

    def test_production_publishes_no_redis_and_logs_json(self) -> None:
        production = Compose(**SECRETS)

        services = json.loads(production(*PRODUCTION, "config", "--format", "json"))["services"]

        assert not services["redis"].get("ports")
        assert services["redis"]["environment"] == {"REDIS_PASSWORD": "a", "REDISCLI_AUTH": "a"}
        for service in SERVICES:
            assert services[service]["environment"]["LOG_FORMAT"] == "json"
            assert services[service]["environment"]["REDIS_PASSWORD"] == "a"
        for name, secrets in DATABASES.items():
            for part in ("service", "worker", "migrations"):
                environment = services[f"{name}-{part}"]["environment"]
                assert environment["PGPASSWORD"] == SECRETS[secrets["password"]]
                assert environment["DATABASE_URL"].endswith(secrets["database"])

    def test_each_service_speaks_by_a_token_that_the_others_know(self) -> None:
        more = "notification:" + "i" * 16
        production = Compose(**SECRETS, MORE_SERVICE_TOKENS=more)

        services = json.loads(production(*PRODUCTION, "config", "--format", "json"))["services"]

        names = ("usermanagement", "taskprocessing", "notification")
        pairs = [f"{name}:{SECRETS[f'{name.upper()}_TOKEN']}" for name in names]
        for service in SERVICES:
            environment = services[service]["environment"]
            assert environment["SERVICE_TOKENS"].split(",") == [*pairs, more]
            name = service.partition("-")[0]
            assert f"{name}:{environment['SERVICE_TOKEN']}" in pairs

    def test_links_in_mails_lead_to_the_published_port_unless_told_otherwise(self) -> None:
        default, told = Compose(PUBLIC_URL=""), Compose(PUBLIC_URL="https://portal.example.com")

        for compose, url in (
            (default, f"http://localhost:{default.port}"),
            (told, "https://portal.example.com"),
        ):
            services = json.loads(compose("config", "--format", "json"))["services"]
            assert services["usermanagement-worker"]["environment"]["PUBLIC_URL"] == url


class TestDevelopment:
    def test_the_guides_walk(self, compose: Compose) -> None:
        curl = guides_curl().replace("localhost:5001", f"localhost:{compose.port}")

        said = subprocess.run(curl, shell=True, capture_output=True, text=True, check=True).stdout

        assert said.startswith("HTTP/1.1 201")
        cached = json.loads(compose("exec", "-T", "redis", "redis-cli", "get", "user:1"))
        assert cached["username"] == "john_doe"
        assert "Ready to accept connections" in compose("logs", "redis")

    def test_redis_cli_answers_without_a_warning(self, compose: Compose) -> None:
        assert compose.errors("exec", "-T", "redis", "redis-cli", "ping") == ""

    def test_redis_keeps_its_data_over_a_new_container(self, compose: Compose) -> None:
        compose("exec", "-T", "redis", "redis-cli", "set", "kept", "1", "ex", "600")

        compose("up", "--detach", "--wait", "--force-recreate", "--no-deps", "redis")

        assert compose("exec", "-T", "redis", "redis-cli", "get", "kept") == "1"
        append_only = compose("exec", "-T", "redis", "redis-cli", "config", "get", "appendonly")
        assert append_only.split() == ["appendonly", "yes"]

    def test_each_service_has_its_own_database_of_redis(self, compose: Compose) -> None:
        numbers = [compose("exec", "-T", service, "printenv", "REDIS_DB") for service in SERVICES]

        assert numbers == ["0", "0", "1", "1", "2", "2"]

    def test_redis_and_the_database_cannot_reach_each_other(self, compose: Compose) -> None:
        connect = "import socket; socket.create_connection(('db', 5432), 2)"

        assert compose("exec", "-T", "notification-worker", "python", "-c", connect) == ""
        for service, other in (("redis", "db"), ("db", "redis")):
            assert compose("exec", "-T", service, "getent", "hosts", service) != ""
            assert compose("exec", "-T", service, "getent", "hosts", other, check=False) == ""

    def test_a_role_reaches_its_own_database_only(self, compose: Compose) -> None:
        psql = ("exec", "-T", "-e", "PGPASSWORD=development", "db", "psql", "-h", "127.0.0.1")

        roles = ("users", "tasks", "notifications")
        for role, other in zip(roles, (*roles[1:], roles[0]), strict=True):
            assert "1 row" in compose(*psql, "-U", role, role, "-c", "select 1")
            for forbidden in (other, "postgres", "template1"):
                said = compose.errors(*psql, "-U", role, forbidden, "-c", "select 1")
                assert "permission denied" in said

    def test_databases_can_be_made_again(self, compose: Compose) -> None:
        script = "/docker-entrypoint-initdb.d/databases.sh"
        assert compose("exec", "-T", "-e", "DATABASES=users loyalty",
                       "-e", "LOYALTY_DB_PASSWORD=l", "db", "sh", script) == ""  # fmt: skip

        listed = compose("exec", "-T", "-e", "PGPASSWORD=l", "db", "psql", "-h", "127.0.0.1",
                         "-U", "loyalty", "loyalty", "-tAc", "select current_user")  # fmt: skip
        assert listed == "loyalty"
        assert compose.request("GET", "/readyz")[0] == 200

    def test_an_outage_of_redis_costs_what_the_table_says(self, compose: Compose) -> None:
        """Registration goes on, login does not, and both work when it is back."""
        assert compose.register("outage") == 201

        compose("kill", "redis")
        try:
            assert compose.register("in_outage") == 201
            status, _, headers = compose.login("outage")
            assert status == 503
            assert int(headers["Retry-After"]) >= 1
            assert compose.request("GET", "/readyz")[0] == 200
        finally:
            compose("start", "redis")

        wait_until(lambda: compose.login("outage")[0] == 200)
        assert compose.login("in_outage")[0] == 200

    def test_a_killed_worker_is_replaced(self, compose: Compose) -> None:
        kill_one = (
            "import os, signal, pathlib\n"
            "children = pathlib.Path('/proc/1/task/1/children').read_text().split()\n"
            "os.kill(int(children[0]), signal.SIGKILL)\n"
            "print(len(children))"
        )
        assert compose("exec", "-T", "usermanagement-service", "python", "-", stdin=kill_one) == "2"

        wait_until(lambda: compose.register("after_the_kill") in {201, 409})
        wait_until(
            lambda: len(compose("exec", "-T", "usermanagement-service", "cat",
                                "/proc/1/task/1/children").split()) == 2
        )  # fmt: skip

    def test_a_restart_under_load_fails_no_request(self, compose: Compose) -> None:
        compose.register("under_load")
        session = compose.login("under_load")[1]
        user_path = f"{API}/users/{session['user']['id']}"
        inside = subprocess.Popen(
            ["docker", "compose", "exec", "-T", "taskprocessing-service", "python", "-",
             f"http://usermanagement-service:5001{user_path}", "--seconds", "12",
             "--session", session["session_id"]],
            cwd=ROOT,
            env=compose.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        assert inside.stdin is not None
        inside.stdin.write(LOAD)
        inside.stdin.close()
        time.sleep(3)

        # With its timeout said: Podman's Docker API else kills at once.
        compose("restart", "--timeout", "6", "usermanagement-service")

        assert inside.stdout is not None
        with inside.stdout:
            totals = inside.stdout.read()
        assert inside.wait(30) == 0, totals
        assert totals.strip().endswith("failed: 0")
        assert "not accepted" in totals  # so it was away
        print(totals, file=sys.stderr)


class TestTasks:
    def test_a_booking_is_completed(self, compose: Compose) -> None:
        desk = Desk(compose, "PY1")

        task_id = desk.book(2)

        desk.wait_for("completed", [task_id])
        assert desk.seats_left() == 98
        key = f"flight:availability:{desk.flight_id}"
        assert compose("exec", "-T", "redis", "redis-cli", "-n", "1", "get", key) == "98"

    def test_a_worker_that_is_killed_loses_no_booking_and_makes_none_twice(
        self, compose: Compose
    ) -> None:
        desk = Desk(compose, "PY2")
        with desk.held():
            with ThreadPoolExecutor(8) as clients:
                task_ids = list(clients.map(desk.book, [1] * 40))
            wait_until(lambda: any(desk.task(one)["status"] == "processing" for one in task_ids))

            compose("kill", WORKER)

            statuses = {desk.task(task_id)["status"] for task_id in task_ids}
            assert statuses == {"pending", "processing"}
        compose("start", WORKER)
        desk.wait_for("completed", task_ids)
        assert desk.seats_left() == 60
        assert max(desk.task(task_id)["attempts"] for task_id in task_ids) > 1

    def test_a_worker_that_is_stopped_finishes_what_it_runs(self, compose: Compose) -> None:
        desk = Desk(compose, "PY3")
        with desk.held():
            running = desk.book(1)
            desk.wait_for("processing", [running])
            stopping = subprocess.Popen(
                ["docker", "compose", "stop", "--timeout", "30", WORKER],
                cwd=ROOT,
                env=compose.environment,
                stderr=subprocess.DEVNULL,
            )
            wait_until(lambda: "The worker stops" in compose("logs", WORKER))
        stopping.wait(30)

        ended = desk.task(running)
        assert (ended["status"], ended["attempts"]) == ("completed", 1)
        assert compose.container(WORKER)["State"]["ExitCode"] == 0
        booked_without_a_worker = desk.book(1)
        compose("start", WORKER)
        desk.wait_for("completed", [booked_without_a_worker])
        assert desk.seats_left() == 98

    def test_there_may_be_several_workers(self, compose: Compose) -> None:
        scaled = ("up", "--detach", "--wait", "--no-deps", "--no-recreate", WORKER, "--scale")
        try:
            compose(*scaled, f"{WORKER}=2")
            assert len(compose("ps", "--quiet", WORKER).split()) == 2
        finally:
            compose(*scaled, f"{WORKER}=1")


class TestMails:
    def test_a_user_is_welcomed_verified_and_told_of_a_booking(self, compose: Compose) -> None:
        desk = Desk(compose, "PY4")
        compose.register("maria")
        address = "maria@example.com"
        welcome = mail(compose, address, "Welcome to the portal, maria")
        assert f"http://localhost:{compose.port}/account/verify#token=" in welcome
        assert compose.login("maria")[1]["user"]["emailVerified"] is False

        link = {"token": token(welcome)}
        assert compose.request("POST", f"{API}/email/verify", link)[0] == 204

        session = compose.login("maria")[1]
        assert session["user"]["emailVerified"] is True
        desk.book(2, session["session_id"])
        booked = mail(compose, address, "Your flight is booked")
        assert "PY4 from LIS to OSL" in booked
        assert "seats: 2" in booked

    def test_only_the_worker_has_the_mails(self, compose: Compose) -> None:
        volume = "pyportal-test_mail"

        mounted = {
            service
            for service in SERVICES
            if volume in {mount.get("Name") for mount in compose.container(service)["Mounts"]}
        }

        assert mounted == {"notification-worker"}


class TestContainers:
    def test_no_service_is_root_or_can_write_or_gain_anything(self, compose: Compose) -> None:
        for service in SERVICES:
            container = compose.container(service)
            assert container["Config"]["User"] == "10001:10001"
            assert container["HostConfig"]["ReadonlyRootfs"] is True
            assert container["HostConfig"]["Memory"] > 0
            assert container["HostConfig"]["PidsLimit"] == 128
            look = "id -u; cat /proc/1/status; touch /portal/written 2>&1 || true"
            status = compose("exec", "-T", service, "sh", "-c", look)
            assert status.startswith("10001\n")
            assert "Read-only file system" in status
            assert "CapBnd:\t0000000000000000" in status
            assert "NoNewPrivs:\t1" in status

    def test_redis_and_postgres_do_not_run_as_root_either(self, compose: Compose) -> None:
        for service in ("redis", "db"):
            status = compose("exec", "-T", service, "cat", "/proc/1/status")
            assert "Uid:\t0" not in status
            assert "CapEff:\t0000000000000000" in status
            assert compose.container(service)["HostConfig"]["ReadonlyRootfs"] is True

    def test_an_image_holds_the_service_and_little_else(self, compose: Compose) -> None:
        base = size_in_bytes(compose, "python:3.12-slim")

        for service in ("usermanagement", "taskprocessing", "notification"):
            assert size_in_bytes(compose, f"pyportal-{service}") - base < 250_000_000
            found = compose.docker(
                "run", "--rm", f"pyportal-{service}", "find", "/portal", "/venv",
                "(", "-name", ".env*", "-o", "-name", "tests", "-path", "/portal/*",
                "-o", "-name", "pip", "-o", "-name", "testing.py", "-path", "/portal/*", ")",
            )  # fmt: skip
            assert found == ""
