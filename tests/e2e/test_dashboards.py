"""Every query of the dashboards and of the rules finds something after a real run."""

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from common.pyportal_common.redis_server import free_port

from ..portal_api import User, wait_until
from .conftest import ROOT, UNLIMITED, Portal, running_portal
from .prometheus import Prometheus, rules_of, scraping

pytestmark = pytest.mark.slow

DASHBOARDS = sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json"))
PATIENCE = 90.0  # seconds: schedules run once a minute
VARIABLES = {"$__rate_interval": "1m", "$job": ".*"}


def panels() -> Iterator[tuple[str, str]]:
    """The titles and the queries of all panels."""
    for file in DASHBOARDS:
        for panel in json.loads(file.read_text("utf-8"))["panels"]:
            for target in panel["targets"]:
                yield f"{file.stem}: {panel['title']}: {target['legendFormat']}", target["expr"]


PANELS = list(panels())


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """A portal whose mail server is away."""
    yield from running_portal(
        tmp_path_factory.mktemp("portal"),
        **UNLIMITED,
        RATE_LIMIT_LOGIN_FAILURES="2/60",
        SMTP_HOST="127.0.0.1",
        SMTP_PORT=str(free_port()),
        SMTP_SECURITY="none",
        DELIVERY_BACKOFF_SECONDS="0.2",
        JOB_LEASE_SECONDS="2",
        REDIS_READ_TIMEOUT="0.5",  # requests shall fail while it is paused
    )


@pytest.fixture(scope="module")
def prometheus(portal: Portal, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that has seen most of what may happen."""
    folder = tmp_path_factory.mktemp("prometheus")
    with scraping(portal, folder, interval="1s", with_exporter=True) as prometheus:
        for number in (1, 2):  # a series counts from its second value on
            use(portal, number)
            fail(portal)
            wait_until(partial(finds_a_number, prometheus, last_of(portal, number)))
        yield prometheus


def last_of(portal: Portal, number: int) -> str:
    """A query that finds something when all of the round with this number was scraped."""
    portal.register(f"last{number}")
    return f'http_requests_total{{route=~".*registerUser",status="201"}} >= {2 * number}'


def use(portal: Portal, number: int) -> None:
    """Do what users do."""
    admin = User.create_admin(portal, f"boss{number}")
    user = User.register(portal, f"user{number}")
    flight = admin.add_flight(f"AB{number}")
    user.wait_for_tasks([user.book(flight), user.book(flight)])
    for _ in range(3):
        user.fetch("GET", f"/users/{user.user_id}", service="usermanagement")
        user.fetch("GET", f"/flights/{flight}/availability")
        user.fetch("GET", "/notifications", service="notification")
        portal.log_in(user.name, "wrong")


def fail(portal: Portal) -> None:
    """Have requests, jobs and messages fail."""
    with portal.paused_redis():
        for service in portal.ports:
            portal.request("GET", "/api/v1/airliner/users/1", service=service, session_id="x" * 43)
    sent = "SELECT id FROM events WHERE status = 'completed'"  # a worker has no more to do with it
    wait_until(lambda: portal.sql("taskprocessing", sent) != [])
    change(
        portal,
        "UPDATE tasks SET status = 'pending', due_at = created_at, turn = 0, parameters = '{}',"
        " attempts = 0 WHERE id = (SELECT max(id) FROM tasks)",
        "UPDATE events SET status = 'failed', due_at = NULL"
        " WHERE id = (SELECT max(id) FROM events WHERE status = 'completed')",
    )


def change(portal: Portal, *statements: str) -> None:
    with closing(sqlite3.connect(portal.data_dir / "taskprocessing.sqlite3", timeout=20)) as sql:
        for statement in statements:
            assert sql.execute(statement).rowcount == 1
        sql.commit()


def finds_a_number(prometheus: Prometheus, expression: str) -> bool:
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    return any(sample["value"][1] != "NaN" for sample in prometheus.query(expression))


@pytest.mark.parametrize("query", [query for _, query in PANELS], ids=[name for name, _ in PANELS])
def test_every_query_of_a_panel_finds_something(prometheus: Prometheus, query: str) -> None:
    wait_until(lambda: finds_a_number(prometheus, query), seconds=PATIENCE)


@pytest.mark.parametrize("rule", rules_of("recording.yml"), ids=lambda rule: rule["record"])
def test_every_recording_rule_finds_something(prometheus: Prometheus, rule: Any) -> None:
    wait_until(lambda: finds_a_number(prometheus, rule["record"]), seconds=PATIENCE)


@pytest.mark.parametrize("rule", rules_of("alerts.yml"), ids=lambda rule: rule["alert"])
def test_every_series_that_an_alert_reads_exists(prometheus: Prometheus, rule: Any) -> None:
    """Without its comparisons: an alert finds nothing as long as all is well."""
    for selector in selectors_of(rule["expr"]):
        wait_until(partial(finds_a_number, prometheus, selector), seconds=PATIENCE)


def selectors_of(expression: str) -> set[str]:
    """The selectors of an expression: names with their labels, in which `:` and `_` occur."""
    expression = re.sub(r"\b(by|on|without) \([^)]*\)", "", expression)
    found = re.findall(r"([a-z][\w:]*)(\{[^}]*\})?(?!\w|\()", expression)
    return {name + labels for name, labels in found if labels or "_" in name}


def test_panels_have_titles_of_their_own_and_use_the_provisioned_datasource() -> None:
    names = [name for name, _ in PANELS]
    assert len(names) == len(set(names)) > 60
    provisioned = Path(ROOT / "deploy/grafana/provisioning/datasources/prometheus.yml").read_text()
    for file in DASHBOARDS:
        for panel in json.loads(file.read_text("utf-8"))["panels"]:
            assert f"uid: {panel['datasource']['uid']} " in provisioned
