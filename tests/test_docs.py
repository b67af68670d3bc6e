"""The examples of the documents run as they stand."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from common.pyportal_common.cache_handlers import RedisSettings
from common.pyportal_common.redis_server import RedisServer
from common.pyportal_common.testing.plugin import run_examples

ROOT = Path(__file__).parent.parent


def test_examples_of_the_redis_layer_run(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("REDIS_URL", redis_server.url)
    monkeypatch.chdir(tmp_path)

    run_examples(ROOT / "docs" / "redis.md")


def test_the_service_that_is_added_by_example_works(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "adding-a-service.md").read_text("utf-8")
    shutil.copytree(ROOT / "common", tmp_path / "common")
    for name in ("conftest.py", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    service = tmp_path / "loyalty-service"
    for path, code in re.findall(r"^```python (\S+)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        (service / path).parent.mkdir(parents=True, exist_ok=True)
        (service / path).write_text(code, "utf-8")
    (key,) = re.findall(r"^```py keys.py\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    with (tmp_path / "common/pyportal_common/cache_handlers/keys.py").open("a") as keys:
        keys.write(f"\n\n{key}")

    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", service / "tests"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert tested.returncode == 0, tested.stdout


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
