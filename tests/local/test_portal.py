"""The environment of the portal's processes under `make run`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from local.portal import ROOT, LocalSettings, environment


def test_webhooks_on_this_machine_are_allowed_unless_the_caller_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WEBHOOK_NETWORKS", raising=False)
    settings = LocalSettings.load(data_dir=tmp_path)
    notification = settings.services[-1]

    by_default = environment(settings, notification)["WEBHOOK_NETWORKS"]
    monkeypatch.setenv("WEBHOOK_NETWORKS", "10.0.0.0/8")
    given = environment(settings, notification)["WEBHOOK_NETWORKS"]

    assert by_default == "127.0.0.0/8,::1/128"
    assert given == "10.0.0.0/8"


def test_links_that_unsubscribe_lead_to_notification(tmp_path: Path) -> None:
    settings = LocalSettings.load(data_dir=tmp_path, notification_port=6003)

    url = environment(settings)["UNSUBSCRIBE_URL"]

    assert url == "http://localhost:6003/api/v1/airliner/notifications/unsubscribe"


def test_a_file_with_the_url_of_redis_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable and its file cannot both be set."""
    file = tmp_path / "url"
    file.write_text("redis://portal:secret@127.0.0.1:6390\n")
    monkeypatch.delenv("REDIS_URL", raising=False)
    monkeypatch.setenv("REDIS_URL_FILE", str(file))
    monkeypatch.setenv("SERVICE_TOKENS_FILE", str(file))

    values = environment(LocalSettings.load(data_dir=tmp_path))

    assert values["REDIS_URL"] == "redis://portal:secret@127.0.0.1:6390"
    assert not {"REDIS_URL_FILE", "SERVICE_TOKENS_FILE"} & values.keys()


def test_the_consoles_are_on_unless_the_caller_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CONSOLE", raising=False)
    settings = LocalSettings.load(data_dir=tmp_path)

    by_default = environment(settings)["CONSOLE"]
    monkeypatch.setenv("CONSOLE", "read")

    assert (by_default, environment(settings)["CONSOLE"]) == ("on", "read")


def test_make_flask_without_arguments_lists_the_commands_of_each_service(tmp_path: Path) -> None:
    """In a new checkout: without data, and without a server."""
    values = {name: value for name, value in os.environ.items() if name not in ("service", "args")}

    run = subprocess.run(
        [sys.executable, "-m", "local", "flask"],
        cwd=ROOT,
        env=values | {"DATA_DIR": str(tmp_path / "none")},
        capture_output=True,
        text=True,
        check=True,
    )

    services = run.stdout.split("make flask service=")[1:]
    assert [each.split()[0] for each in services] == [
        "usermanagement",
        "taskprocessing",
        "notification",
    ]
    assert all(" doctor " in each and " jobs " in each for each in services)
    assert not (tmp_path / "none").exists()
