"""The examples in the documentation run unchanged, and its links lead somewhere."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.pyportal_common.cache_handlers import RedisSettings
from common.pyportal_common.cache_handlers.keys import KINDS
from common.pyportal_common.extension import PortalSettings
from common.pyportal_common.redis_server import RedisServer
from common.pyportal_common.testing.plugin import run_examples
from common.pyportal_common.web.health import Checks

ROOT = Path(__file__).parent.parent
KEYS = Path("common/pyportal_common/cache_handlers")


@pytest.mark.parametrize("page", ["redis.md", "extension.md"])
def test_examples_of_a_page_run(
    page: str, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("REDIS_URL", redis_server.url)
    monkeypatch.chdir(tmp_path)

    run_examples(ROOT / "docs" / page)


@pytest.mark.parametrize(
    "pages",
    [["adding-a-service.md"], ["adding-a-service.md", "adding-an-endpoint.md"]],
    ids=["a service", "an endpoint"],
)
def test_the_added_example_passes_its_own_tests(pages: list[str], tmp_path: Path) -> None:
    shutil.copytree(ROOT / "common", tmp_path / "common")
    for name in ("conftest.py", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(
        ROOT / "usermanagement-service",
        tmp_path / "usermanagement-service",
        ignore=shutil.ignore_patterns("app", "tests", "versions", "__pycache__"),
    )
    for page in pages:
        text = (ROOT / "docs" / page).read_text("utf-8")
        for script in re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            subprocess.run(["sh", "-ec", script], cwd=tmp_path, check=True)
        for path, code in examples_in(text):
            append(tmp_path / path, code)

    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "loyalty-service/tests"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert tested.returncode == 0, tested.stdout


def examples_in(text: str) -> Iterator[tuple[Path, str]]:
    """The files that a page names, and what it adds to each."""
    for language, name, code in re.findall(
        r"^```(py|python) (\S+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL
    ):
        folder = "loyalty-service" if language == "python" else str(KEYS)
        yield Path(folder) / name, code


def append(file: Path, code: str) -> None:
    """Add code to the end of a file. Indented code continues the class that the file ends with."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as opened:
        opened.write(f"\n{code}")


def test_links_between_documents_lead_somewhere() -> None:
    documents = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("*/README.md")]
    broken = [
        f"{document.relative_to(ROOT)} -> {link}"
        for document in documents
        for link in re.findall(r"\]\(([^)]+)\)", document.read_text("utf-8"))
        if not link.startswith("http") and not leads_somewhere(document, link)
    ]

    assert broken == []


def leads_somewhere(document: Path, link: str) -> bool:
    """Whether the file of a relative link exists, and has the heading that its fragment names."""
    name, _, fragment = link.partition("#")
    target = document.parent / name if name else document
    if not fragment or target.suffix != ".md":
        return target.exists()
    return target.exists() and fragment in anchors(target.read_text("utf-8"))


def anchors(text: str) -> set[str]:
    """The fragments of the headings of a page, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_table_of_keys_has_every_kind_of_key() -> None:
    text = (ROOT / "redis" / "README.md").read_text("utf-8")
    rows = re.findall(r"^\| `([^` ]+)` \| ([a-z ]+) \|", text, re.MULTILINE)
    documented = {
        (re.sub(r"\{\w+\}", "*", key.replace("{K}", "{{K}}")), kind.replace("sorted set", "zset"))
        for key, kind in rows
    }

    kinds = {(kind.pattern, kind.type) for kind in KINDS}

    assert documented - {("rate_limit:*:*", "hash")} == kinds


def test_the_example_of_health_has_every_check() -> None:
    text = (ROOT / "docs" / "operations.md").read_text("utf-8")
    (example,) = re.findall(r"^```json\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)

    assert list(json.loads(example)["checks"]) == list(Checks.model_fields)


def test_every_variable_of_the_redis_settings_is_documented() -> None:
    text = (ROOT / "docs" / "redis.md").read_text("utf-8")

    for field in RedisSettings.model_fields:
        assert f"REDIS_{field.upper()}" in text


def test_every_variable_of_the_extension_is_documented() -> None:
    text = (ROOT / "docs" / "extension.md").read_text("utf-8")

    for field in PortalSettings.model_fields:
        assert f"`PORTAL_{field.upper()}`" in text
