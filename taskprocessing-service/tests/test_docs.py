"""The README matches the service."""

import re
from pathlib import Path

import pytest
from flask import Flask

from app.settings import TaskProcessingSettings
from common.pyportal_common.jobs import QueueSettings, WorkerSettings
from common.pyportal_common.redis_server import RedisServer
from common.pyportal_common.testing.plugin import run_examples

SERVICE = Path(__file__).parent.parent
README = SERVICE / "README.md"


def test_readme_examples_run(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("REDIS_URL", redis_server.url)
    monkeypatch.chdir(tmp_path)

    run_examples(README)


@pytest.mark.parametrize("settings", [TaskProcessingSettings, WorkerSettings, QueueSettings])
def test_every_variable_is_in_the_readme_and_in_the_example_file(
    settings: type[TaskProcessingSettings],
) -> None:
    readme = README.read_text("utf-8")
    example = (SERVICE / ".env.example").read_text("utf-8")

    prefix = settings.model_config.get("env_prefix", "")
    for field in settings.model_fields:
        name = f"{prefix}{field}".upper()
        assert f"`{name}`" in readme
        assert f"{name}=" in example


def test_every_endpoint_is_in_the_readme(app: Flask) -> None:
    readme = README.read_text("utf-8")

    for rule in app.url_map.iter_rules():
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            assert f"`{method} {path}`" in readme or path.startswith("/docs/")
