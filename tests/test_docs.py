"""The examples of the documents run as they stand."""

import re
from pathlib import Path

import pytest

from common.pyportal_common.cache_handlers import RedisSettings
from common.pyportal_common.embedded import RedisServer
from common.pyportal_common.testing import run_examples

ROOT = Path(__file__).parent.parent


def test_examples_of_the_redis_layer_run(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("REDIS_URL", redis_server.url)
    monkeypatch.chdir(tmp_path)

    run_examples(ROOT / "docs" / "redis.md")


def test_links_between_documents_lead_somewhere() -> None:
    documents = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("*/README.md")]
    broken = [
        f"{document.relative_to(ROOT)} -> {target}"
        for document in documents
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", document.read_text("utf-8"))
        if not target.startswith("http") and not (document.parent / target).exists()
    ]

    assert broken == []


def test_every_variable_of_the_redis_settings_is_documented() -> None:
    said = (ROOT / "docs" / "redis.md").read_text("utf-8")

    for field in RedisSettings.model_fields:
        assert f"REDIS_{field.upper()}" in said
