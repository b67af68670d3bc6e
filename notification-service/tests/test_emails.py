"""E-mails as real SMTP servers receive them, and what happens when a server does not."""

import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiosmtpd.controller import Controller

from app.users import User
from common.pyportal_common.redis_server import free_port

from .conftest import WELCOME, MakeApp, Serve, Users
from .mail_servers import PASSWORD, USERNAME, Inbox, Scripted, real_server
from .sender import Sender

LOGIN = {"smtp_username": USERNAME, "smtp_password": PASSWORD}
MakeSender = Callable[..., Sender]

SLOW_BACKOFF: dict[str, Any] = {"delivery_backoff_seconds": 3600}


def certificate_of(authority: trustme.CA, name: str = "127.0.0.1") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> str:
    path = str(tmp_path / "ca.pem")
    authority.cert_pem.write_to_path(path)
    return path


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
def with_server(
    make_app: MakeApp, inbox: Inbox, authority: trustme.CA, ca_file: str
) -> Iterator[MakeSender]:
    """Makes a sender with a real mail server, and settings that lead there."""
    started: list[Controller] = []

    def make(
        *,
        security: str = "starttls",
        certificate: ssl.SSLContext | None = None,
        options: dict[str, Any] | None = None,
        **settings: Any,
    ) -> Sender:
        context = certificate or certificate_of(authority)
        server = real_server(inbox, context, security=security, **options or {})
        server.start()
        started.append(server)
        where = {"smtp_host": "127.0.0.1", "smtp_port": server.port, "smtp_security": security}
        return Sender(
            make_app(**{**where, **LOGIN, "smtp_ca_file": ca_file, **SLOW_BACKOFF, **settings})
        )

    yield make
    for server in started:
        server.stop(no_assert=True)


@pytest.fixture
def with_script(make_app: MakeApp, serve: Serve) -> MakeSender:
    """Makes a sender with a mail server that follows a script."""

    def make(
        script: Scripted, *, certificate: ssl.SSLContext | None = None, **settings: Any
    ) -> Sender:
        port = serve(script.talk, tls=certificate).port
        where = {"smtp_host": "127.0.0.1", "smtp_port": port, "smtp_security": "none"}
        return Sender(make_app(**{**where, **SLOW_BACKOFF, **settings}))

    return make


@pytest.fixture
def sender(with_server: MakeSender) -> Sender:
    """A sender with a real mail server that accepts everything."""
    return with_server()


class TestServer:
    @pytest.mark.parametrize("security", ["starttls", "tls"])
    def test_an_email_is_sent_with_tls_and_after_a_login(
        self, with_server: MakeSender, inbox: Inbox, security: str
    ) -> None:
        sender = with_server(security=security, mail_from="portal@airline.example")

        sent = sender.send(WELCOME)

        assert sender.status_of(sent) == ("sent", 1, None)
        (envelope,), (mail,) = inbox.envelopes, inbox.mails
        assert inbox.logged_in == [True]
        assert envelope.mail_from == mail["From"] == "portal@airline.example"
        assert envelope.rcpt_tos == [mail["To"]] == ["john@example.com"]
        assert mail["Subject"] == "Welcome to the portal, john_doe"
        assert mail["Message-ID"] == f"<{sent['messageId']}@airline.example>"
        assert mail["Auto-Submitted"] == "auto-generated"
        age = datetime.now(UTC) - parsedate_to_datetime(mail["Date"])
        assert timedelta(0) <= age < timedelta(minutes=1)
        assert mail.get_content_type() == "multipart/alternative"
        types = [part.get_content_type() for part in mail.iter_parts()]
        assert types == ["text/plain", "text/html"]
        for part in mail.iter_parts():
            assert WELCOME["data"]["verifyUrl"] in part.get_content()

    def test_every_attempt_is_listed(self, sender: Sender, inbox: Inbox) -> None:
        inbox.data_answers = ["451 4.3.0 The disk is full"]

        sent = sender.send(WELCOME)
        sender.deliver_later()

        attempts = sender.attempts_of(sent)
        names = ("number", "outcome", "answer", "reason")
        assert [tuple(attempt[name] for name in names) for attempt in attempts] == [
            (1, "put off", "451 4.3.0 The disk is full", "The server refused the message"),
            (2, "sent", "accepted by the mail server", None),
        ]
        moments = [attempt[name] for attempt in attempts for name in ("startedAt", "endedAt")]
        assert moments == sorted(moments)
        assert len(inbox.mails) == 1

    @pytest.mark.parametrize("answers", ["rcpt_answers", "data_answers"])
    def test_a_message_is_retried_with_the_same_id(
        self, sender: Sender, inbox: Inbox, answers: str
    ) -> None:
        setattr(inbox, answers, ["450 4.2.1 Come back later"] * 3)

        sent = sender.send(WELCOME)
        assert sender.status_of(sent)[:2] == ("queued", 1)
        for _ in range(3):
            sender.deliver_later()

        assert sender.status_of(sent) == ("sent", 4, None)
        (mail,) = inbox.mails
        assert mail["Message-ID"] == f"<{sent['messageId']}@localhost>"

    @pytest.mark.parametrize(
        ("answers", "reason"),
        [
            ("rcpt_answers", "The server refused the recipient"),
            ("data_answers", "The server refused the message"),
        ],
    )
    def test_a_permanent_failure_can_be_retried_by_hand(
        self, sender: Sender, inbox: Inbox, answers: str, reason: str
    ) -> None:
        setattr(inbox, answers, ["550 5.1.1 No such user here"])
        sent = sender.send(WELCOME)
        assert sender.status_of(sent) == ("failed", 1, reason)
        assert inbox.mails == []

        response = sender.retry(sent)

        assert response.status_code == 202
        assert sender.status_of(sent) == ("sent", 1, None)
        assert inbox.mails[0]["Message-ID"] == f"<{sent['messageId']}@localhost>"
        failed, succeeded = sender.attempts_of(sent)
        assert (failed["outcome"], failed["answer"]) == ("failed", "550 5.1.1 No such user here")
        assert succeeded["outcome"] == "sent"
        assert sender.retry(sent).status_code == 409


class TestConfiguration:
    """Errors in our own configuration are retried: an administrator can fix them."""

    @pytest.mark.parametrize(
        ("login", "reason", "answer"),
        [
            (LOGIN | {"smtp_password": "wrong"}, "The mail server refused our login", "535 "),
            ({"smtp_username": "", "smtp_password": ""}, "The mail server refused us", "530 "),
        ],
    )
    def test_a_wrong_or_missing_password(
        self, with_server: MakeSender, login: dict[str, str], reason: str, answer: str
    ) -> None:
        sender = with_server(**login)

        sent = sender.send(WELCOME)

        assert sender.status_of(sent) == ("queued", 1, reason)
        (attempt,) = sender.attempts_of(sent)
        assert attempt["answer"].startswith(answer)
        assert "wrong" not in str(attempt)

    @pytest.mark.parametrize("name", ["127.0.0.1", "other.example"])
    @pytest.mark.parametrize("security", ["starttls", "tls"])
    def test_a_certificate_of_an_unknown_authority(
        self, with_server: MakeSender, inbox: Inbox, security: str, name: str
    ) -> None:
        sender = with_server(security=security, certificate=certificate_of(trustme.CA(), name))

        sender.check_status(sender.send(WELCOME), "queued", 1, ".*certificate verify failed")
        assert inbox.mails == []

    @pytest.mark.parametrize(
        ("settings", "reason"),
        [
            ({"smtp_ca_file": "/nowhere/ca.pem"}, "SMTP_CA_FILE"),  # which does not exist
            (LOGIN, "STARTTLS"),  # which the server does not support
        ],
    )
    def test_tls_that_cannot_be_started(
        self, with_script: MakeSender, settings: dict[str, str], reason: str
    ) -> None:
        script = Scripted()
        sender = with_script(script, smtp_security="starttls", **settings)

        status, _, error = sender.status_of(sender.send(WELCOME))

        assert status == "queued"
        assert reason in str(error)
        assert script.mails == []


class TestOutage:
    def test_a_closed_port_is_retried(self, make_app: MakeApp) -> None:
        sender = Sender(make_app(smtp_host="127.0.0.1", smtp_port=free_port(), **SLOW_BACKOFF))

        sender.check_status(sender.send(WELCOME), "queued", 1, ".*refused")

    @pytest.mark.parametrize("command", ["", "EHLO", "MAIL", "RCPT", "DATA", "."])
    def test_a_connection_that_ends_at_any_command_is_retried(
        self, with_script: MakeSender, command: str
    ) -> None:
        script = Scripted()
        answer = script.answers.get(command, "250 OK")
        script.answers[command] = None
        sender = with_script(script)

        sent = sender.send(WELCOME)
        sender.check_status(sent, "queued", 1, "The mail server cannot be used: ")
        script.answers[command] = answer
        sender.deliver_later()

        assert sender.status_of(sent) == ("sent", 2, None)
        ids = {mail.partition(b"Message-ID: ")[2].partition(b"\r\n")[0] for mail in script.mails}
        assert ids == {f"<{sent['messageId']}@localhost>".encode()}

    @pytest.mark.parametrize("command", ["", "EHLO", "MAIL", "RCPT", "DATA", "."])
    def test_a_server_that_hangs_at_any_command_is_given_up(
        self, with_script: MakeSender, command: str
    ) -> None:
        sender = with_script(Scripted(**{command: ""}), delivery_timeout_seconds=0.3)

        sender.check_status(sender.send(WELCOME), "queued", 1, ".*timed out")
        assert sender.seconds < 5

    @pytest.mark.parametrize("security", ["none", "tls"])
    def test_a_server_that_sends_a_byte_at_a_time_is_given_up(
        self, with_script: MakeSender, authority: trustme.CA, ca_file: str, security: str
    ) -> None:
        script = Scripted()
        script.slowly = True
        sender = with_script(
            script,
            certificate=certificate_of(authority) if security == "tls" else None,
            smtp_security=security,
            smtp_ca_file=ca_file,
            delivery_timeout_seconds=0.5,
        )

        sender.check_status(sender.send(WELCOME), "queued", 1, "The mail server cannot be used: ")
        assert 1.5 <= sender.seconds < 5

    @pytest.mark.parametrize(
        ("command", "answer", "status"),
        [
            ("", "421 Too busy", "queued"),
            ("", "554 Not today", "queued"),
            ("MAIL", "530 Log in first", "queued"),
            ("MAIL", "553 Not your address", "queued"),
            ("RCPT", "421 Too many", "queued"),
            ("DATA", "421 Too many", "queued"),
            (".", "451 Try again", "queued"),
            (".", "999 What", "queued"),
            ("RCPT", "554 We do not like it", "failed"),
            ("DATA", "554 We do not like it", "failed"),
            (".", "554 We do not like it", "failed"),
        ],
    )
    def test_only_a_5xx_about_the_recipient_or_the_message_is_permanent(
        self, with_script: MakeSender, command: str, answer: str, status: str
    ) -> None:
        sender = with_script(Scripted(**{command: answer}))

        sent = sender.send(WELCOME)

        assert sender.status_of(sent)[:2] == (status, 1)
        assert str(sender.status_of(sent)[2]).startswith("The ")
        assert sender.attempts_of(sent)[0]["answer"] == answer

    @pytest.mark.parametrize("answer", [None, "", "421 Bye", "500 What", "nonsense"])
    @pytest.mark.parametrize("command", [".", "RCPT"])
    def test_the_answer_to_quit_changes_nothing(
        self, with_script: MakeSender, command: str, answer: str | None
    ) -> None:
        script = Scripted(QUIT=answer)
        script.answers[command] = "250 OK" if command == "." else "550 No such user"
        sender = with_script(script, delivery_timeout_seconds=0.5)

        sent = sender.send(WELCOME)

        expected = ("sent", 1) if command == "." else ("failed", 1)
        assert sender.status_of(sent)[:2] == expected
        assert len(script.mails) == (command == ".")

    def test_the_last_attempt_fails_the_notification(self, with_script: MakeSender) -> None:
        sender = with_script(Scripted(MAIL="450 Later"), delivery_attempts=3)
        sent = sender.send(WELCOME)
        sender.deliver_later()

        assert sender.status_of(sent)[:2] == ("queued", 2)
        sender.deliver_later()

        assert sender.status_of(sent) == ("failed", 3, "The mail server refused us, 3 times")
        assert len(sender.attempts_of(sent)) == 3
        sender.deliver_later()
        assert len(sender.attempts_of(sent)) == 3

    def test_control_characters_in_an_answer_are_not_shown(self, with_script: MakeSender) -> None:
        sender = with_script(Scripted(RCPT="550 no\x00 \x1b[31m such\ttab"))

        (attempt,) = sender.attempts_of(sender.send(WELCOME))

        assert attempt["outcome"] == "failed"
        assert attempt["answer"].isprintable()


class TestAddresses:
    @pytest.mark.parametrize(
        ("address", "sent_to"),
        [
            ("john@stra\u00dfe-m\u00fcnchen.de", "john@xn--strae-mnchen-o9a32b.de"),
            ("j\u00f6rg@example.com", "j\u00f6rg@example.com"),
        ],
    )
    def test_domains_are_sent_in_ascii_and_other_characters_by_smtputf8(
        self, sender: Sender, inbox: Inbox, address: str, sent_to: str
    ) -> None:
        sent = sender.send(WELCOME | {"recipient": address})

        assert sender.status_of(sent) == ("sent", 1, None)
        (envelope,) = inbox.envelopes
        assert envelope.rcpt_tos == [sent_to]
        assert isinstance(envelope.content, bytes)
        assert f"To: {sent_to}\r\n".encode() in envelope.content

    def test_without_smtputf8_a_non_ascii_address_is_a_permanent_failure(
        self, with_server: MakeSender
    ) -> None:
        sender = with_server(options={"enable_SMTPUTF8": False})

        sent = sender.send(WELCOME | {"recipient": "j\u00f6rg@example.com"})

        reason = "The mail server accepts only ASCII addresses"
        assert sender.status_of(sent) == ("failed", 1, reason)

    def test_names_in_every_script_arrive(self, sender: Sender, inbox: Inbox) -> None:
        name = "\u0414\u0436\u043e\u043d \u5f20\u4f1f \U0001f6eb"
        data = WELCOME["data"] | {"username": name, "firstName": name}

        sent = sender.send(WELCOME | {"data": data})

        assert sender.status_of(sent) == ("sent", 1, None)
        (mail,) = inbox.mails
        assert mail["Subject"] == f"Welcome to the portal, {name}"
        for part in mail.iter_parts():
            assert name in part.get_content()

    def test_an_invalid_address_of_a_user_is_a_permanent_failure(
        self, users: Users, sender: Sender, inbox: Inbox
    ) -> None:
        users[7] = User("john@example.com\r\nBcc: jane@example.com", email_verified=True)

        sent = sender.send({name: WELCOME[name] for name in WELCOME if name != "recipient"})

        sender.check_status(sent, "failed", 1, "The e-mail cannot be composed: ")
        assert inbox.mails == []


class TestFolder:
    @pytest.fixture
    def sender(self, make_app: MakeApp) -> Sender:
        return Sender(make_app(**SLOW_BACKOFF))

    def test_without_a_server_an_email_is_a_file_and_the_log_names_it(
        self, sender: Sender, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO")

        sent = sender.send(WELCOME | {"recipient": "j\u00f6rg@example.com"})

        name = f"{sent['messageId']}.eml"
        path = sender.data_dir / "mail" / name
        assert sender.status_of(sent) == ("sent", 1, None)
        assert path.read_bytes().startswith(b"From: portal@localhost\r\n")
        assert "To: j\u00f6rg@example.com\r\n".encode() in path.read_bytes()
        assert f"Wrote an e-mail to {path}" in caplog.messages
        assert [file.name for file in path.parent.iterdir()] == [name]

    def test_a_folder_that_cannot_be_written_is_retried(self, sender: Sender) -> None:
        folder = sender.data_dir / "mail"
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.write_text("a file in place of the folder")

        sent = sender.send(WELCOME)
        sender.check_status(sent, "queued", 1, "The e-mail cannot be written: ")
        folder.unlink()
        sender.deliver_later()

        assert sender.status_of(sent) == ("sent", 2, None)
