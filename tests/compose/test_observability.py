"""The profile `observability`. Runs with PYPORTAL_COMPOSE_TESTS=1 where Docker works."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from common.pyportal_common.redis_server import free_port
from local.client import send

from ..portal_api import User, wait_until
from .conftest import ROOT, Compose, running_compose

pytestmark = pytest.mark.slow

PORT = free_port()
PROFILE = ("--profile", "observability")


@pytest.fixture(scope="module")
def compose() -> Iterator[Compose]:
    """The portal with Prometheus. The images of the others may not be there."""
    for compose in running_compose(PROMETHEUS_PORT=str(PORT)):
        compose(*PROFILE, "up", "--detach", "--wait", "--wait-timeout", "120", "prometheus")
        yield compose
        compose(*PROFILE, "rm", "--stop", "--force", "prometheus", check=False)


def get(path: str) -> Any:
    return send(PORT, "GET", path).body["data"]


def found(query: str) -> dict[str, float]:
    """The values of a query by job."""
    results = get(f"/api/v1/query?query={quote(query, safe='')}")["result"]
    return {each["metric"].get("job", ""): float(each["value"][1]) for each in results}


def test_the_profile_publishes_on_loopback_and_mounts_what_exists() -> None:
    services = Compose().config(*PROFILE)

    for name in ("prometheus", "grafana", "redis-exporter"):
        service = services[name]
        assert {port["host_ip"] for port in service.get("ports", [])} <= {"127.0.0.1"}
        assert service["read_only"]
        for volume in service.get("volumes", []):
            assert volume["type"] == "volume" or (ROOT / volume["source"]).exists()


def test_without_the_profile_nothing_of_it_starts() -> None:
    assert not {"prometheus", "grafana", "redis-exporter"} & set(Compose().config())


def test_prometheus_scrapes_every_service_with_its_workers(compose: Compose) -> None:
    User.register(compose, "john")
    names = {"usermanagement", "taskprocessing", "notification"}

    wait_until(lambda: set(found('up{job!="redis"} == 1')) == names, seconds=60)
    wait_until(lambda: set(found("count by (job) (worker_info)")) == names, seconds=60)
    User.register(compose, "jane")  # a series that was new counts from its second value on
    wait_until(lambda: found("job:http_requests:rate5m").get("usermanagement", 0) > 0, seconds=120)


def test_its_rules_are_loaded_and_healthy(compose: Compose) -> None:  # noqa: ARG001  it runs
    def rules() -> list[dict[str, Any]]:
        return [rule for group in get("/api/v1/rules")["groups"] for rule in group["rules"]]

    wait_until(lambda: {rule["health"] for rule in rules()} == {"ok"}, seconds=60)
    assert len([rule for rule in rules() if rule["type"] == "alerting"]) >= 20
    assert json.dumps(rules()).count("docs/operations.md#") >= 20
