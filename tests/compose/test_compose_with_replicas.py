"""docker-compose.scale.yml. In its own module, because two projects cannot run at once."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest

from common.pyportal_common.redis_server import free_port
from local.client import API

from ..portal_api import PASSWORD, PORTS, User
from .conftest import NAMES, ROOT, Compose, running_compose
from .scale import containers, scale_to
from .scale_load import LIMIT, WINDOW

pytestmark = pytest.mark.slow

FILES = "docker-compose.yml:docker-compose.scale.yml"
GATEWAY_PORT = free_port()
ASK = """
import http.client, sys
connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=30)
connection.request("GET", sys.argv[2], headers={"Authorization": f"Bearer {sys.argv[3]}"})
response = connection.getresponse()
print(response.status, response.read().decode())
"""


@pytest.fixture(scope="module")
def compose() -> Iterator[Compose]:
    """The portal with two replicas of each service, and its gateway."""
    for compose in running_compose(
        COMPOSE_FILE=FILES,
        GATEWAY_PORT=str(GATEWAY_PORT),
        RATE_LIMIT_READS=f"{LIMIT}/{WINDOW:.0f}",
        CONSOLE="on",
    ):
        compose.ports = dict.fromkeys(NAMES, GATEWAY_PORT)
        yield compose


@pytest.fixture(autouse=True)
def _in_the_project(compose: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in compose.environment.items():
        monkeypatch.setenv(name, value)


def ask_replica(compose: Compose, name: str, container: str, path: str, session: str) -> str:
    """What a replica itself answers: its status and the body."""
    return compose.docker(
        "exec", container, "python", "-c", ASK, str(PORTS[name]), path, session or "none"
    )


def test_only_the_gateway_is_published() -> None:
    services = Compose(COMPOSE_FILE=FILES).config()

    assert {name for name, each in services.items() if each.get("ports")} == {"gateway", "redis"}
    for name in NAMES:
        environments = [
            services[f"{name}-{part}"]["environment"]
            for part in ("service", "worker", "migrations")
        ]
        assert {each["PROXY_HOPS"] for each in environments} == {"1"}
        assert {each["PATH_PREFIX"] for each in environments} == {f"/{name}"}
        assert "container_name" not in services[f"{name}-service"]


def test_production_adds_its_secrets_to_the_overlay() -> None:
    files = f"{FILES}:docker-compose.production.yml"

    errors = Compose(COMPOSE_FILE=files, REDIS_PASSWORD="").errors("config")

    assert "set it in .env" in errors


def test_a_session_is_valid_on_each_replica_of_each_service(compose: Compose) -> None:
    user = User.register(compose, "everywhere")
    paths = {"usermanagement": "/session", "taskprocessing": "/tasks",
             "notification": "/notifications"}  # fmt: skip

    for name, path in paths.items():
        found = containers(name)
        assert len(found) == 2
        for container in found:
            answer = ask_replica(compose, name, container, f"{API}{path}", user.session_id)
            assert answer.startswith("200 ")
        assert user.request("GET", path).status == 200


def test_each_replica_has_its_own_metrics_and_none_is_published(compose: Compose) -> None:
    user = User.register(compose, "counted")
    for _ in range(60):
        assert user.request("GET", "/session").status == 200

    counts = []
    for container in containers("usermanagement"):
        text = ask_replica(compose, "usermanagement", container, "/metrics", "")
        counts.append(len(re.findall(r'http_requests_total{.*airliner/session"', text)))
    assert all(counts)
    assert compose.request("GET", "/metrics").status == 404


def test_a_forged_address_does_not_avoid_a_limit(compose: Compose) -> None:
    body = {"email": "nobody@example.com"}

    statuses = [
        compose.request(
            "POST", f"{API}/password/forgot", body, **{"X-Forwarded-For": f"192.0.2.{number}"}
        ).status
        for number in range(6)
    ]

    assert statuses[-1] == 429


def test_migrations_run_once(compose: Compose) -> None:
    for name in NAMES:
        [container] = compose("ps", "--all", "--quiet", f"{name}-migrations").split()
        state = json.loads(compose.docker("inspect", container))[0]["State"]
        assert (state["Status"], state["ExitCode"]) == ("exited", 0)


def test_each_documentation_is_below_the_name_of_its_service(compose: Compose) -> None:
    for name in NAMES:
        document = compose.request("GET", f"/{name}/openapi.json").body

        assert document["servers"] == [{"url": f"/{name}"}]
        assert compose.request("GET", f"/{name}/health").body["service"] == name


def test_one_login_is_valid_in_all_consoles(compose: Compose) -> None:
    User.create_admin(compose, "operator")
    origin = f"http://localhost:{GATEWAY_PORT}"
    curl = ("curl", "-s", "-i", "--max-time", "60")
    fields = {"email": "operator", "password": PASSWORD, "next": "/taskprocessing/console/jobs"}

    def run(*arguments: str) -> str:
        return subprocess.run(
            [*curl, *arguments], capture_output=True, text=True, check=True
        ).stdout

    sent = run(f"{origin}/console/login", "-H", f"Origin: {origin}", "-d", urlencode(fields))
    [cookie] = re.findall(r"(?i)^set-cookie: (__Host-session=[^;]+)", sent, re.MULTILINE)
    location = re.findall(r"(?i)^location: (\S+)", sent, re.MULTILINE)

    assert location == ["/taskprocessing/console/jobs"]
    for name in NAMES:
        page = run(f"{origin}/{name}/console", "-H", f"Cookie: {cookie}")
        assert page.startswith("HTTP/1.1 200")
        links = re.findall(r'(?:href|src|action)="(/[^"]*)"', page)
        assert links
        of_service = (f"/{name}/console", f"/{name}/app/static/")
        assert [link for link in links if not link.startswith(of_service)] == []
        for file in [link for link in links if "/static/" in link]:
            assert run(f"{origin}{file}").startswith("HTTP/1.1 200")


def test_scaling_and_restarting_under_load_fail_no_request_and_exceed_no_limit(
    compose: Compose,
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.compose.scale", f"http://localhost:{GATEWAY_PORT}"],
        cwd=ROOT,
        env=compose.environment,
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )

    print(done.stdout)
    print(compose("logs", "--no-log-prefix", "gateway"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"windows exceeded: 0\nrequests: [\d,]+, failed: 0", done.stdout)


def test_a_replica_that_is_killed_fails_no_read(compose: Compose) -> None:
    scale_to(2)
    user = User.register(compose, "survivor")
    victim = containers("usermanagement")[0]

    compose.docker("kill", victim)

    assert {user.request("GET", "/session").status for _ in range(50)} == {200}
