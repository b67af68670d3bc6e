"""A Prometheus that scrapes a portal, with the rules of deploy/prometheus."""

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml  # type: ignore[import-untyped]

from common.pyportal_common.redis_server import free_port
from common.pyportal_common.testing.plugin import missing
from local.client import send

from ..portal_api import wait_until
from .conftest import ROOT, Portal

RULES = ROOT / "deploy" / "prometheus"
EXPORTER = "prometheus-redis-exporter"  # as Debian calls it


def binary(name: str) -> str:
    """The path of a program of Prometheus. Skips the test if it is not installed."""
    return shutil.which(name) or missing(name)


def rules_of(file: str) -> list[dict[str, Any]]:
    """The rules in a file of deploy/prometheus/rules."""
    groups = yaml.safe_load((RULES / "rules" / file).read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


class Prometheus:
    """A running Prometheus."""

    def __init__(self, port: int) -> None:
        self._port = port

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The samples of an instant query."""
        path = f"/api/v1/query?query={quote(expression, safe='')}"
        body = send(self._port, "GET", path).body
        assert body["status"] == "success", (expression, body)
        return list(body["data"]["result"])

    def sees(self, targets: int) -> bool:
        """Whether it has started, and has scraped so many targets."""
        with suppress(ValueError):  # while it starts, it responds in plain text
            return len(self.query("up == 1")) == targets
        return False


@contextmanager
def scraping(
    portal: Portal, folder: Path, *, interval: str, with_exporter: bool = False
) -> Iterator[Prometheus]:
    """Run the Prometheus of deploy/prometheus/local.yml on a portal, and scrape so often."""
    port, exporter_port = free_port(), free_port()
    folder.mkdir(exist_ok=True)
    config = folder / "prometheus.yml"
    config.write_text(_config({**portal.ports, "redis": exporter_port}, interval), "utf-8")
    exporter = [f"--web.listen-address=127.0.0.1:{exporter_port}"]
    exporter += [f"--redis.addr=redis://127.0.0.1:{portal.redis_port}"]
    commands = [
        [
            binary("prometheus"),
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        *([[binary(EXPORTER), *exporter]] if with_exporter else []),
    ]
    with (folder / "output.txt").open("wb") as output:
        processes = [subprocess.Popen(each, stdout=output, stderr=output) for each in commands]
    try:
        prometheus = Prometheus(port)
        jobs = len(portal.ports) + with_exporter
        wait_until(lambda: prometheus.sees(jobs), seconds=60)
        yield prometheus
    finally:
        for process in processes:
            process.terminate()
            process.wait(30)


def _config(ports: Mapping[str, int], interval: str) -> str:
    config = yaml.safe_load((RULES / "local.yml").read_text("utf-8"))
    config["rule_files"] = [str(RULES / "rules" / "*.yml")]
    for key in ("scrape_interval", "scrape_timeout", "evaluation_interval"):
        config["global"][key] = interval
    for job in config["scrape_configs"]:
        job["static_configs"] = [{"targets": [f"127.0.0.1:{ports[job['job_name']]}"]}]
    return str(yaml.safe_dump(config))
