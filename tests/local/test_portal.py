"""The environment of the portal's processes under `make run`."""

from pathlib import Path

import pytest

from local.portal import LocalSettings, environment


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
