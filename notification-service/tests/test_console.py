"""The console of the service: see `ConsoleChecks`; and what it shows of deliveries."""

import html
import re

from common.pyportal_common.testing.console_checks import ConsoleChecks
from common.pyportal_common.testing.kit import session_headers

from .conftest import WELCOME, MakeApp, Serve
from .mail_servers import Scripted
from .sender import Sender


class TestConsole(ConsoleChecks):
    """Its pages and acts."""


def test_a_failed_delivery_shows_what_the_mail_server_said_and_no_text(
    make_app: MakeApp, serve: Serve
) -> None:
    server = serve(Scripted(RCPT="550 5.1.1 No such user here").talk)
    where = {"smtp_host": "127.0.0.1", "smtp_port": server.port, "smtp_security": "none"}
    sender = Sender(make_app(console="on", **where))
    number = sender.send(WELCOME)["notificationId"]

    page = sender.client.get(
        f"/console/jobs/notifications/{number}", headers=session_headers(1, "admin")
    )

    text = " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page.text)).split())
    assert page.status_code == 200
    assert "State failed" in text
    assert "550 5.1.1 No such user here" in text
    assert WELCOME["recipient"] not in text
