"""The site of `make docs`: built without a network, and it loads nothing from elsewhere."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from common.pyportal_common.testing.plugin import missing

ROOT = Path(__file__).parent.parent
MKDOCS = ROOT / ".venv" / "docs" / "bin" / "mkdocs"
NO_NETWORK = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9")

LOADS = re.compile(
    r"<(?:script|img|link|iframe)\b[^>]*?\b(?:src|href)=[\"']?((?:https?:)?//[^\"' >]+)"
)

BROKEN = {
    "[a page](nowhere.md)": "nowhere.md",
    "[a file](../nowhere/README.md)": "nowhere/README.md",
    "[a section](redis.md#nowhere)": "redis.md#nowhere",
    "[a section](../benchmarks/README.md#nowhere)": "benchmarks/README.md#nowhere",
}

pytestmark = pytest.mark.slow


def build(source: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """Build the site of a copy of the repository."""
    if not MKDOCS.exists():
        missing("mkdocs, by `make docs`,")
    return subprocess.run(
        [MKDOCS, "build", "--strict", "--site-dir", site],
        cwd=source,
        env={**os.environ, **NO_NETWORK, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_is_built_without_a_network_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    built = build(ROOT, tmp_path)

    assert built.returncode == 0, built.stderr
    pages = [page.read_text("utf-8") for page in tmp_path.rglob("*.html")]
    assert len(pages) >= 60
    assert {url for page in pages for url in LOADS.findall(page)} == set()
    styles = "".join(style.read_text("utf-8") for style in tmp_path.rglob("*.css"))
    assert re.findall(r"url\([\"']?(?:https?:)?//", styles) == []


def test_links_that_lead_nowhere_fail_the_build(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for name in ("common", "docs", "benchmarks"):
        shutil.copytree(ROOT / name, source / name)
    for path in (ROOT / "mkdocs.yml", *pages_outside()):
        copy = source / path.relative_to(ROOT)
        copy.parent.mkdir(exist_ok=True)
        shutil.copy(path, copy)
    with (source / "docs" / "glossary.md").open("a", encoding="utf-8") as page:
        page.writelines(f"\n{link}\n" for link in BROKEN)

    built = build(source, tmp_path / "site")

    assert built.returncode != 0
    assert [each for each in BROKEN.values() if f"{each}'" not in built.stderr] == []


def pages_outside() -> list[Path]:
    """The pages of the site that are not in docs/."""
    return [*ROOT.glob("*/README.md"), *ROOT.glob("*.md")]
