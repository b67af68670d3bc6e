"""The examples in the documentation run unchanged, and its links lead somewhere."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from common.pyportal_common import cache_handlers, db, extension, jobs
from common.pyportal_common.cache_handlers import RedisSettings
from common.pyportal_common.cache_handlers.keys import KINDS
from common.pyportal_common.extension import PortalSettings
from common.pyportal_common.redis_server import RedisServer
from common.pyportal_common.testing.documents import blocks_of, run_examples
from common.pyportal_common.web.health import Checks

from .walks import Walk

ROOT = Path(__file__).parent.parent


def name_of(page: Path) -> str:
    """The path of a page in this repository."""
    return page.relative_to(ROOT).as_posix()


PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
    *sorted(ROOT.glob("docs/**/*.md")),
    *sorted(ROOT.glob("*/README.md")),
]
WITH_EXAMPLES = [page for page in PAGES if any(block.is_example for block in blocks_of(page))]

# Pages whose commands and files are followed, and the test that does.
FOLLOWED = {
    "docs/clients.md": "e2e/test_clients.py",
    "docs/index.md": "common/test_stranger.py",
    "docs/tutorial.md": "common/test_stranger.py",
    "docs/questions.md": "e2e/test_questions.py",
    "docs/running.md": "e2e/test_make_run.py",
    "docs/adding-a-service.md": "test_docs.py",
    "docs/adding-an-endpoint.md": "test_docs.py",
    "docs/migrating/cashews-dogpile.md": "migrating/test_pages.py",
    "docs/migrating/flask-caching.md": "migrating/test_pages.py",
    "docs/migrating/flask-limiter.md": "migrating/test_pages.py",
    "docs/migrating/flask-session.md": "migrating/test_pages.py",
}


@pytest.mark.parametrize(
    "page", [page for page in WITH_EXAMPLES if page.is_relative_to(ROOT / "docs")], ids=name_of
)
def test_examples_of_a_page_run(
    page: Path, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("REDIS_URL", redis_server.url)
    monkeypatch.chdir(tmp_path)

    run_examples(page)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_of_code_runs_or_says_why_not(page: Path) -> None:
    """Those of the services' READMEs are run by their tests."""
    run = WITH_EXAMPLES if page.name != "README.md" or page.parent.name.endswith("-service") else []

    skipped = [
        f"{name_of(page)}:{block.line}"
        for block in blocks_of(page)
        if not block.not_run
        and not (block.is_example and page in run)
        and name_of(page) not in FOLLOWED
    ]

    assert skipped == []


def test_followed_pages_are_named_in_their_tests() -> None:
    for page, test in FOLLOWED.items():
        assert Path(page).stem in (ROOT / "tests" / test).read_text("utf-8")


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
        Walk(tmp_path, dict(os.environ)).follow(ROOT / "docs" / page)

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


@pytest.mark.parametrize(
    ("page", "least"),
    [
        ("guarantees.md", 30),
        ("deployment/network.md", 15),
        ("deployment/scale.md", 13),
        ("app.md", 8),
    ],
)
def test_every_test_of_the_guarantees_exists(page: str, least: int) -> None:
    text = (ROOT / "docs" / page).read_text("utf-8")
    named: set[tuple[str, str]] = set(
        re.findall(r"((?:[\w-]+/)*test(?:s|ing)/[\w/]+\.py)::([\w:]+)", text)
    )

    missing = {(file, test) for file, test in named if test not in names_of_tests(ROOT / file)}

    assert len(named) >= least
    assert missing == set()


def names_of_tests(file: Path) -> set[str]:
    """The tests of a module, those of classes as Class::test."""
    module = ast.parse(file.read_text("utf-8"))
    classes = [node for node in module.body if isinstance(node, ast.ClassDef)]
    functions = {node.name for node in module.body if isinstance(node, ast.FunctionDef)}
    methods = {
        f"{each.name}::{node.name}"
        for each in classes
        for node in each.body
        if isinstance(node, ast.FunctionDef)
    }
    return functions | methods


def test_the_index_of_decisions_is_complete() -> None:
    decisions = sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))
    titles = [page.read_text("utf-8").partition("\n")[0].removeprefix("# ") for page in decisions]

    index = (ROOT / "docs" / "adr" / "index.md").read_text("utf-8")

    listed = re.findall(r"^- \[(.+)\]\((\d+.*\.md)\)$", index, re.MULTILINE)
    assert listed == [(title, page.name) for title, page in zip(titles, decisions, strict=True)]


@pytest.mark.parametrize(
    "package", [cache_handlers, db, extension, jobs], ids=lambda each: each.__name__
)
def test_the_reference_has_every_public_name(package: ModuleType) -> None:
    pages = "".join(page.read_text("utf-8") for page in (ROOT / "docs" / "reference").glob("*.md"))
    name = package.__name__.removeprefix("common.")

    listed = re.findall(rf"^::: {re.escape(name)}\.(\w+)(?:\.\1)?$", pages, re.MULTILINE)

    assert sorted(listed) == sorted(package.__all__)


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
