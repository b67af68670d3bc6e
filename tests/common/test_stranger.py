"""A reader with only the wheel follows the home page and the tutorial, word for word."""

import os
import re
import shutil
import sys
import time
from pathlib import Path

import pytest

from common.pyportal_common.redis_server import free_port

from ..walks import Walk, walking
from .load import ROOT
from .wheels import build

pytestmark = pytest.mark.slow

TOOLS = ("bash", "curl", "mkdir", "cat")
"""What the reader has beside Python: no redis-server."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("dist"))


@pytest.fixture
def stranger(wheel: Path, tmp_path: Path) -> Walk:
    """A reader with the wheel in an otherwise empty folder. Ports that may be in use are others."""
    tools, folder = tmp_path / "tools", tmp_path / "weather"
    tools.mkdir()
    folder.mkdir()
    for tool in TOOLS:
        (tools / tool).symlink_to(str(shutil.which(tool)))
    (tools / "python3").symlink_to(Path(sys.executable).resolve())
    shutil.copy(wheel, folder)
    redis, http = free_port(), free_port()
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "VIRTUAL", "REDIS", "FLASK", "PORTAL"))
    }
    ports = {"FLASK_PORTAL_REDIS_PORT": str(redis), "FLASK_RUN_PORT": str(http)}
    return Walk(
        folder,
        environment | ports | {"PATH": str(tools)},
        ports=[redis, http],
        replaced={":6379": f":{redis}", ":5000": f":{http}"},
    )


def test_the_home_page_takes_less_than_a_minute(
    stranger: Walk, capsys: pytest.CaptureFixture[str]
) -> None:
    began = time.monotonic()

    with walking(stranger):
        stranger.follow(ROOT / "docs" / "index.md")

    seconds = time.monotonic() - began
    with capsys.disabled():
        print(f"\nThe home page: {seconds:.1f} s from the empty folder to the 429")
    assert seconds < 60 * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))  # others run, too
    times = re.findall(r'"loaded_at":"([^"]+)"', stranger.output)
    assert len(times) == 5
    assert len(set(times)) == 1
    app = (stranger.folder / "app.py").read_text("utf-8")
    assert len(app.splitlines()) <= 20


def test_the_tutorial_can_be_followed(stranger: Walk) -> None:
    with walking(stranger):
        stranger.follow(ROOT / "docs" / "tutorial.md")

    assert "failed" not in stranger.output
