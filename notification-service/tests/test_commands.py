"""The commands about notifications."""

import json

from flask import Flask

from .conftest import WELCOME
from .sender import Sender


def run(app: Flask, *words: str) -> str:
    result = app.test_cli_runner().invoke(args=["notifications", *words])
    assert result.exit_code == 0, result.output
    return result.output


def test_a_notification_is_shown_with_its_deliveries_and_without_its_text(
    app: Flask, sender: Sender
) -> None:
    notification_id = str(sender.send(WELCOME)["notificationId"])

    shown = json.loads(run(app, "show", notification_id, "--json"))

    assert (shown["status"], [each["outcome"] for each in shown["deliveries"]]) == (
        "sent",
        ["sent"],
    )
    for text in (run(app, "show", notification_id), run(app, "list"), json.dumps(shown)):
        assert "john" not in text
        assert "token=abc" not in text


def test_failed_ones_are_retried_by_their_user(app: Flask, sender: Sender) -> None:
    sender.accept(WELCOME)
    jobs = sender.services.jobs
    [claim] = jobs.claim(1)
    jobs.expire([claim])  # which fails it

    assert run(app, "retry", "--user", "8", "--yes") == "0 notifications retried\n"
    assert run(app, "retry", "--user", "7", "--yes") == "1 notification retried\n"

    assert json.loads(run(app, "list", "--json"))["items"][0]["status"] == "queued"
    [entry] = sender.services.audit.page().items
    assert (entry.action, entry.target, entry.count) == ("jobs retry", "notifications", 1)
