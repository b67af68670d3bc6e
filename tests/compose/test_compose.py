"""What docker-compose.yml promises. Runs with PYPORTAL_COMPOSE_TESTS=1 where Docker works."""

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatch
from pathlib import Path

import pytest

from local.client import API

from ..mails import token
from ..portal_api import User, wait_until
from .conftest import NAMES, ROOT, SERVICES, Compose, readme_curl

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
    "FACTOR_KEYS": "dGhlIHRlc3RzJyBrZXkgb2Ygc2Vjb25kIGZhY3RvcnM=",
    "PUBLIC_URL": "https://portal.example.com",
}
DATABASES = dict(zip(NAMES, ("users", "tasks", "notifications"), strict=True))


class TestFiles:
    def test_the_file_is_valid_and_publishes_on_loopback_only(self) -> None:
        services = Compose().config()

        ports = [port for service in services.values() for port in service.get("ports", [])]
        assert len(ports) == 4
        assert {port["host_ip"] for port in ports} == {"127.0.0.1"}
        assert "ports" not in services["db"]

    @pytest.mark.parametrize("missing", SECRETS)
    def test_production_has_no_default_for_a_secret(self, missing: str) -> None:
        errors = Compose(**SECRETS | {missing: ""}).errors(*PRODUCTION, "config")

        assert missing in errors
        assert "set it in .env" in errors

    def test_production_publishes_no_redis_and_logs_json(self) -> None:
        services = Compose(**SECRETS).config(*PRODUCTION)

        assert not services["redis"].get("ports")
        assert services["redis"]["environment"] == {"REDIS_PASSWORD": "a", "REDISCLI_AUTH": "a"}
        for service in SERVICES:
            assert services[service]["environment"]["LOG_FORMAT"] == "json"
            assert services[service]["environment"]["REDIS_PASSWORD"] == "a"
        for name, database in DATABASES.items():
            for part in ("service", "worker", "migrations"):
                environment = services[f"{name}-{part}"]["environment"]
                assert environment["PGPASSWORD"] == SECRETS[f"{database.upper()}_DB_PASSWORD"]
                assert environment["DATABASE_URL"].endswith(f"{database}@db/{database}")

    def test_with_tls_the_variables_and_files_are_added(self) -> None:
        files = ("-f", "docker-compose.yml", "-f", "docker-compose.tls.yml")

        services = Compose().config(*files)

        for service in SERVICES:
            environment = services[service]["environment"]
            assert (environment["REDIS_TLS"], environment["PGSSLMODE"]) == ("true", "verify-full")
            assert environment["REDIS_HOST"] == "redis"
        assert {volume["target"] for volume in services["notification-worker"]["volumes"]} == {
            "/data",
            "/run/tls/ca.pem",
        }
        assert services["redis"]["healthcheck"]["interval"] == "5s"

    def test_each_service_has_a_token_that_the_others_know(self) -> None:
        more = "notification:" + "i" * 16

        services = Compose(**SECRETS, MORE_SERVICE_TOKENS=more).config(*PRODUCTION)

        pairs = [f"{name}:{SECRETS[f'{name.upper()}_TOKEN']}" for name in NAMES]
        for service in SERVICES:
            environment = services[service]["environment"]
            assert environment["SERVICE_TOKENS"].split(",") == [*pairs, more]
            name = service.partition("-")[0]
            assert f"{name}:{environment['SERVICE_TOKEN']}" in pairs

    @pytest.mark.parametrize(("endpoint", "traces"), [("", ""), ("http://collector:4318", "1")])
    def test_images_have_what_traces_need_if_they_are_sent(
        self, endpoint: str, traces: str
    ) -> None:
        services = Compose(OTEL_EXPORTER_OTLP_ENDPOINT=endpoint).config()

        for service in SERVICES:
            assert services[service]["build"]["args"].get("TRACES", "") == traces
            assert services[service]["environment"]["OTEL_EXPORTER_OTLP_ENDPOINT"] == endpoint

    def test_links_in_mails_lead_to_public_url_or_the_published_port(self) -> None:
        default, public = Compose(PUBLIC_URL=""), Compose(PUBLIC_URL="https://portal.example.com")

        for compose, url in (
            (default, f"http://localhost:{default.ports['usermanagement']}"),
            (public, "https://portal.example.com"),
        ):
            assert compose.config()["usermanagement-worker"]["environment"]["PUBLIC_URL"] == url

    def test_links_that_turn_mails_off_lead_to_notification(self) -> None:
        path = "/api/v1/airliner/notifications/unsubscribe"
        own = "https://mail.example.com/off"
        default, set_by_hand = Compose(), Compose(UNSUBSCRIBE_URL=own)
        worker = "notification-worker"

        assert default.config()[worker]["environment"]["UNSUBSCRIBE_URL"] == (
            f"http://localhost:{default.ports['notification']}{path}"
        )
        assert set_by_hand.config()[worker]["environment"]["UNSUBSCRIBE_URL"] == own
        public = Compose(**SECRETS).config(*PRODUCTION)[worker]["environment"]
        assert public["UNSUBSCRIBE_URL"] == SECRETS["PUBLIC_URL"] + path


class TestDevelopment:
    def test_the_registration_of_the_readme_works(self, compose: Compose) -> None:
        curl = readme_curl().replace(
            "localhost:5001", f"localhost:{compose.ports['usermanagement']}"
        )

        output = subprocess.run(curl, shell=True, capture_output=True, text=True, check=True).stdout

        assert output.startswith("HTTP/1.1 201")
        assert json.loads(compose.redis("get", "user:1"))["username"] == "john_doe"
        assert "Ready to accept connections" in compose("logs", "redis")

    def test_redis_cli_prints_no_warning(self, compose: Compose) -> None:
        assert compose.errors("exec", "-T", "redis", "redis-cli", "ping") == ""

    def test_redis_keeps_its_data_in_a_new_container(self, compose: Compose) -> None:
        compose.redis("set", "kept", "1", "ex", "600")

        compose("up", "--detach", "--wait", "--force-recreate", "--no-deps", "redis")

        assert compose.redis("get", "kept") == "1"
        assert compose.redis("config", "get", "appendonly").split() == ["appendonly", "yes"]

    def test_each_service_has_its_own_database_of_redis(self, compose: Compose) -> None:
        numbers = [compose.execute(service, "printenv", "REDIS_DB") for service in SERVICES]

        assert numbers == ["0", "0", "1", "1", "2", "2"]

    def test_redis_and_the_database_cannot_reach_each_other(self, compose: Compose) -> None:
        connect = "import socket; socket.create_connection(('db', 5432), 2)"

        assert compose.execute("notification-worker", "python", "-c", connect) == ""
        for service, other in (("redis", "db"), ("db", "redis")):
            assert compose.execute(service, "getent", "hosts", service) != ""
            assert compose.execute(service, "getent", "hosts", other, check=False) == ""

    def test_a_role_reaches_its_own_database_only(self, compose: Compose) -> None:
        psql = ("exec", "-T", "-e", "PGPASSWORD=development", "db", "psql", "-h", "127.0.0.1")

        roles = tuple(DATABASES.values())
        for role, other in zip(roles, (*roles[1:], roles[0]), strict=True):
            assert "1 row" in compose(*psql, "-U", role, role, "-c", "select 1")
            for forbidden in (other, "postgres", "template1"):
                errors = compose.errors(*psql, "-U", role, forbidden, "-c", "select 1")
                assert "permission denied" in errors

    def test_the_script_of_the_databases_can_run_again(self, compose: Compose) -> None:
        script = "/docker-entrypoint-initdb.d/databases.sh"
        assert compose("exec", "-T", "-e", "DATABASES=users loyalty",
                       "-e", "LOYALTY_DB_PASSWORD=l", "db", "sh", script) == ""  # fmt: skip

        listed = compose("exec", "-T", "-e", "PGPASSWORD=l", "db", "psql", "-h", "127.0.0.1",
                         "-U", "loyalty", "loyalty", "-tAc", "select current_user")  # fmt: skip
        assert listed == "loyalty"
        assert compose.request("GET", "/readyz").status == 200

    def test_without_redis_registration_works_and_login_is_a_503(self, compose: Compose) -> None:
        assert compose.register("outage").status == 201

        compose("kill", "redis")
        try:
            assert compose.register("in_outage").status == 201
            refused = compose.log_in("outage")
            assert refused.status == 503
            assert int(refused.headers["Retry-After"]) >= 1
            assert compose.request("GET", "/readyz").status == 200
        finally:
            compose("start", "redis")

        users = ("outage", "in_outage")  # either worker of gunicorn may respond
        wait_until(lambda: {compose.log_in(name).status for name in users} == {200})

    def test_a_killed_worker_of_gunicorn_is_replaced(self, compose: Compose) -> None:
        kill_one = (
            "import os, signal, pathlib\n"
            "children = pathlib.Path('/proc/1/task/1/children').read_text().split()\n"
            "os.kill(int(children[0]), signal.SIGKILL)\n"
            "print(len(children))"
        )
        assert compose.execute("usermanagement-service", "python", "-", stdin=kill_one) == "2"

        wait_until(lambda: compose.register("after_the_kill").status in {201, 409})
        children = ("cat", "/proc/1/task/1/children")
        wait_until(lambda: len(compose.execute("usermanagement-service", *children).split()) == 2)

    def test_a_restart_under_load_fails_no_request(self, compose: Compose) -> None:
        user = User.register(compose, "under_load")
        url = f"http://usermanagement-service:5001{API}/users/{user.user_id}"
        load = compose.popen(
            "exec", "-T", "taskprocessing-service", "python", "-", url,
            "--seconds", "12", "--session", user.session_id,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )  # fmt: skip
        assert load.stdin is not None
        load.stdin.write(LOAD)
        load.stdin.close()
        time.sleep(3)

        # Podman's Docker API kills at once without a timeout.
        compose("restart", "--timeout", "6", "usermanagement-service")

        assert load.stdout is not None
        with load.stdout:
            totals = load.stdout.read()
        print(totals)
        assert load.wait(30) == 0, totals
        assert totals.strip().endswith("failed: 0")
        assert "not accepted" in totals  # so there was a restart


@contextlib.contextmanager
def locked_flight(compose: Compose, flight_id: int) -> Iterator[None]:
    """Lock the flight's row, so that no booking of it can finish."""
    psql = compose.popen(
        "exec", "-T", "-e", "PGPASSWORD=development", "db",
        "psql", "-qtA", "-h", "127.0.0.1", "-U", "tasks", "tasks",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert psql.stdin is not None
    assert psql.stdout is not None
    with psql:
        psql.stdin.write(f"begin; select id from flights where id = {flight_id} for update;\n")
        psql.stdin.flush()
        assert psql.stdout.readline().strip() == str(flight_id)
        yield


class TestTasks:
    @pytest.fixture
    def admin(self, compose: Compose) -> User:
        return User.create_admin(compose)

    def test_a_booking_is_completed(self, compose: Compose, admin: User) -> None:
        flight_id = admin.add_flight("PY1")

        task_id = admin.book(flight_id, seats=2)

        admin.wait_for_tasks([task_id])
        assert admin.seats_left(flight_id) == 98
        assert compose.redis("-n", "1", "get", f"flight:availability:{flight_id}") == "98"

    def test_a_killed_worker_loses_no_booking_and_repeats_none(
        self, compose: Compose, admin: User
    ) -> None:
        flight_id = admin.add_flight("PY2")
        with locked_flight(compose, flight_id):
            with ThreadPoolExecutor(8) as clients:
                task_ids = list(clients.map(admin.book, [flight_id] * 40))
            wait_until(lambda: any(admin.task(one)["status"] == "processing" for one in task_ids))

            compose("kill", WORKER)

            statuses = {admin.task(task_id)["status"] for task_id in task_ids}
            assert statuses == {"pending", "processing"}
        compose("start", WORKER)
        admin.wait_for_tasks(task_ids)
        assert admin.seats_left(flight_id) == 60
        assert max(admin.task(task_id)["attempts"] for task_id in task_ids) > 1

    def test_a_stopped_worker_finishes_its_running_task(
        self, compose: Compose, admin: User
    ) -> None:
        flight_id = admin.add_flight("PY3")
        with locked_flight(compose, flight_id):
            running = admin.book(flight_id)
            admin.wait_for_tasks([running], "processing")
            stopping = compose.popen("stop", "--timeout", "30", WORKER, stderr=subprocess.DEVNULL)
            wait_until(lambda: "stop" in compose("logs", WORKER).lower())
        stopping.wait(30)

        finished = admin.task(running)
        assert (finished["status"], finished["attempts"]) == ("completed", 1)
        assert compose.container(WORKER)["State"]["ExitCode"] == 0
        booked_without_a_worker = admin.book(flight_id)
        compose("start", WORKER)
        admin.wait_for_tasks([booked_without_a_worker])
        assert admin.seats_left(flight_id) == 98

    def test_workers_can_be_scaled(self, compose: Compose) -> None:
        scaled = ("up", "--detach", "--wait", "--no-deps", "--no-recreate", WORKER, "--scale")
        try:
            compose(*scaled, f"{WORKER}=2")
            assert len(compose("ps", "--quiet", WORKER).split()) == 2
        finally:
            compose(*scaled, f"{WORKER}=1")


class TestMails:
    def test_mails_verify_an_address_and_confirm_a_booking(self, compose: Compose) -> None:
        flight_id = User.create_admin(compose).add_flight("PY4")
        maria = User.register(compose, "maria")
        welcome = compose.mail(maria.email, "Welcome to the portal, maria")
        port = compose.ports["usermanagement"]
        assert f"http://localhost:{port}/app/verify#token=" in welcome
        assert compose.log_in("maria").body["user"]["emailVerified"] is False

        body = {"token": token(welcome)}
        assert compose.request("POST", f"{API}/email/verify", body).status == 204

        assert compose.log_in("maria").body["user"]["emailVerified"] is True
        maria.book(flight_id, seats=2)
        booked = compose.mail(maria.email, "Your flight is booked")
        assert "PY4 from LIS to OSL" in booked
        assert "Seats: 2" in booked

    def test_only_the_worker_of_notification_mounts_the_mails(self, compose: Compose) -> None:
        mounts = {service: compose.container(service)["Mounts"] for service in SERVICES}

        assert [
            service
            for service in SERVICES
            if "pyportal-test_mail" in {mount.get("Name") for mount in mounts[service]}
        ] == ["notification-worker"]


class TestContainers:
    def test_no_service_is_root_or_can_write_or_gain_privileges(self, compose: Compose) -> None:
        for service in SERVICES:
            container = compose.container(service)
            assert container["Config"]["User"] == "10001:10001"
            assert container["HostConfig"]["ReadonlyRootfs"] is True
            assert container["HostConfig"]["Memory"] > 0
            assert container["HostConfig"]["PidsLimit"] == 128
            look = "id -u; cat /proc/1/status; touch /portal/written 2>&1 || true"
            status = compose.execute(service, "sh", "-c", look)
            assert status.startswith("10001\n")
            assert "Read-only file system" in status
            assert "CapBnd:\t0000000000000000" in status
            assert "NoNewPrivs:\t1" in status

    def test_redis_and_postgres_do_not_run_as_root(self, compose: Compose) -> None:
        for service in ("redis", "db"):
            status = compose.execute(service, "cat", "/proc/1/status")
            assert "Uid:\t0" not in status
            assert "CapEff:\t0000000000000000" in status
            assert compose.container(service)["HostConfig"]["ReadonlyRootfs"] is True

    def test_an_image_contains_one_service_and_no_tests(self, compose: Compose) -> None:
        base = compose.image_size("python:3.12-slim")
        unwanted = (".env*", "tests", "testing", "redis_server.*", "conftest.*", "pip")

        for name in NAMES:
            image = f"pyportal-{name}"
            assert compose.image_size(image) - base < 250_000_000
            files = compose.docker(
                "run", "--rm", image, "find", "/portal", "/venv",
                "(", "-path", "/portal/*", "-o", "-name", "pip", ")",
            ).split()  # fmt: skip
            assert not [file for file in files for one in unwanted if fnmatch(Path(file).name, one)]
            assert {Path(file).parts[2] for file in files} == {"common", f"{name}-service"}
