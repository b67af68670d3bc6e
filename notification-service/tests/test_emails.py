"""Mails, as real SMTP servers get them, and what becomes of them when those do not."""

import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiosmtpd.controller import Controller
from flask import Flask
from flask.testing import FlaskClient

from app import MIGRATIONS
from app.services import Services
from app.users import User
from common.pyportal_common.db.migrations import migrate
from common.pyportal_common.redis_server import free_port
from common.pyportal_common.testing.raw_servers import RawServer

from .conftest import NOTIFICATIONS, SERVICE, WELCOME, mine_of, work_off
from .deliveries import Deliveries
from .mail_servers import PASSWORD, USERNAME, Inbox, Scripted, real_server

LOGIN = {"smtp_username": USERNAME, "smtp_password": PASSWORD}

MakeApp = Callable[..., Flask]
Serve = Callable[..., RawServer]


@pytest.fixture(scope="module")
def migrated_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """SQLite alone: what differs here are the servers of mail."""
    url = f"sqlite:///{tmp_path_factory.mktemp('sql') / 'notifications.sqlite3'}"
    migrate(url, MIGRATIONS)
    return url


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> str:
    path = str(tmp_path / "ca.pem")
    authority.cert_pem.write_to_path(path)
    return path


@pytest.fixture
def certificate(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
def start() -> Iterator[Callable[[Controller], dict[str, Any]]]:
    """Starts a server, and gives the settings that lead there."""
    started: list[Controller] = []

    def start(server: Controller) -> dict[str, Any]:
        server.start()
        started.append(server)
        return {"smtp_host": "127.0.0.1", "smtp_port": server.port}

    yield start
    for server in started:
        server.stop(no_assert=True)


Start = Callable[[Controller], dict[str, Any]]


@pytest.fixture
def with_server(
    make_app: MakeApp, inbox: Inbox, certificate: ssl.SSLContext, ca_file: str, start: Start
) -> Deliveries:
    """The service, with a mail server that takes everything."""
    where = start(real_server(inbox, certificate))
    return Deliveries(make_app(**where, **LOGIN, smtp_ca_file=ca_file))


@pytest.fixture
def with_script(make_app: MakeApp, serve: Serve) -> Callable[..., Deliveries]:
    """Makes the service, with a mail server that follows a script."""

    def make(script: Scripted, **settings: Any) -> Deliveries:
        port = serve(script.talk).port
        where = {"smtp_host": "127.0.0.1", "smtp_port": port, "smtp_security": "none"}
        return Deliveries(make_app(**{"delivery_backoff_seconds": 3600, **where, **settings}))

    return make


WithScript = Callable[..., Deliveries]


class TestServer:
    @pytest.mark.parametrize("security", ["starttls", "tls"])
    def test_it_gets_the_mail_by_tls_and_after_a_login(
        self,
        make_app: MakeApp,
        inbox: Inbox,
        certificate: ssl.SSLContext,
        ca_file: str,
        start: Start,
        security: str,
    ) -> None:
        server = real_server(inbox, certificate, security=security)
        service = Deliveries(
            make_app(
                **start(server),
                **LOGIN,
                smtp_ca_file=ca_file,
                smtp_security=security,
                mail_from="portal@airline.example",
            )
        )

        made = service.send(WELCOME)

        assert service.status_of(made) == ("sent", 1, None)
        (envelope,), (mail,) = inbox.envelopes, inbox.mails
        assert inbox.logged_in == [True]
        assert envelope.mail_from == "portal@airline.example"
        assert envelope.rcpt_tos == ["john@example.com"]
        assert mail["From"] == "portal@airline.example"
        assert mail["To"] == "john@example.com"
        assert mail["Subject"] == "Welcome to the portal, john_doe"
        assert mail["Message-ID"] == f"<{made['messageId']}@airline.example>"
        assert mail["Auto-Submitted"] == "auto-generated"
        age = datetime.now(UTC) - parsedate_to_datetime(mail["Date"])
        assert timedelta(0) <= age < timedelta(minutes=1)
        assert mail.get_content_type() == "multipart/alternative"
        assert [part.get_content_type() for part in mail.iter_parts()] == [
            "text/plain",
            "text/html",
        ]
        for part in mail.iter_parts():
            assert WELCOME["data"]["verifyUrl"] in part.get_content()

    def test_each_attempt_is_listed(self, with_server: Deliveries, inbox: Inbox) -> None:
        inbox.to_data = ["451 4.3.0 The disk is full"]

        made = with_server.send(WELCOME)
        with_server.let_time_pass()

        first, second = with_server.attempts_at(made)
        assert (first["number"], second["number"]) == (1, 2)
        assert (first["outcome"], second["outcome"]) == ("put off", "sent")
        assert (first["answer"], first["reason"]) == (
            "451 4.3.0 The disk is full",
            "The server refused the message",
        )
        assert (second["answer"], second["reason"]) == ("accepted by the mail server", None)
        moments = [one[name] for one in (first, second) for name in ("startedAt", "endedAt")]
        assert moments == sorted(moments)
        assert len(inbox.mails) == 1

    @pytest.mark.parametrize("answers", ["to_rcpt", "to_data"])
    def test_what_is_put_off_goes_out_later_as_the_same_message(
        self, with_server: Deliveries, inbox: Inbox, answers: str
    ) -> None:
        setattr(inbox, answers, ["450 4.2.1 Come back later"] * 3)

        made = with_server.send(WELCOME)
        assert with_server.status_of(made)[:2] == ("queued", 1)
        for _ in range(3):
            with_server.let_time_pass()

        assert with_server.status_of(made) == ("sent", 4, None)
        (mail,) = inbox.mails
        assert mail["Message-ID"] == f"<{made['messageId']}@localhost>"

    @pytest.mark.parametrize(
        ("answers", "reason"),
        [
            ("to_rcpt", "The server refused the recipient"),
            ("to_data", "The server refused the message"),
        ],
    )
    def test_what_is_refused_for_good_has_failed(
        self, with_server: Deliveries, inbox: Inbox, answers: str, reason: str
    ) -> None:
        setattr(inbox, answers, ["550 5.1.1 No such user here"])

        made = with_server.send(WELCOME)

        assert with_server.status_of(made) == ("failed", 1, reason)
        (attempt,) = with_server.attempts_at(made)
        assert attempt["outcome"] == "failed"
        assert attempt["answer"] == "550 5.1.1 No such user here"
        assert inbox.mails == []

    def test_what_has_failed_can_begin_anew(self, with_server: Deliveries, inbox: Inbox) -> None:
        inbox.to_rcpt = ["550 5.2.1 Closed for today"]
        made = with_server.send(WELCOME)

        answer = with_server.retry(made)

        assert answer.status_code == 202
        assert with_server.status_of(made) == ("sent", 1, None)
        assert inbox.mails[0]["Message-ID"] == f"<{made['messageId']}@localhost>"
        assert [one["outcome"] for one in with_server.attempts_at(made)] == ["failed", "sent"]
        assert with_server.retry(made).status_code == 409


class TestLogin:
    def test_a_wrong_password_puts_it_off(
        self,
        make_app: MakeApp,
        inbox: Inbox,
        certificate: ssl.SSLContext,
        ca_file: str,
        start: Start,
    ) -> None:
        where = start(real_server(inbox, certificate))
        given = {"smtp_username": USERNAME, "smtp_password": "wrong", "smtp_ca_file": ca_file}
        service = Deliveries(make_app(**where, **given, delivery_backoff_seconds=3600))

        made = service.send(WELCOME)

        assert service.status_of(made) == ("queued", 1, "The mail server refused our login")
        (attempt,) = service.attempts_at(made)
        assert attempt["answer"].startswith("535 ")
        assert "wrong" not in str(service.attempts_at(made))

    def test_no_password_where_one_is_wanted_puts_it_off(
        self,
        make_app: MakeApp,
        inbox: Inbox,
        certificate: ssl.SSLContext,
        ca_file: str,
        start: Start,
    ) -> None:
        where = start(real_server(inbox, certificate))
        service = Deliveries(make_app(**where, smtp_ca_file=ca_file, delivery_backoff_seconds=3600))

        made = service.send(WELCOME)

        assert service.status_of(made) == ("queued", 1, "The mail server refused us")
        assert service.attempts_at(made)[0]["answer"].startswith("530 ")

    @pytest.mark.parametrize("name", ["127.0.0.1", "other.example"])
    @pytest.mark.parametrize("security", ["starttls", "tls"])
    def test_a_certificate_of_others_puts_it_off(
        self,
        make_app: MakeApp,
        inbox: Inbox,
        ca_file: str,
        start: Start,
        security: str,
        name: str,
    ) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trustme.CA().issue_cert(name).configure_cert(context)
        server = real_server(inbox, context, security=security)
        service = Deliveries(
            make_app(
                **start(server),
                **LOGIN,
                smtp_ca_file=ca_file,
                smtp_security=security,
                delivery_backoff_seconds=3600,
            )
        )

        status, attempts, error = service.status_of(service.send(WELCOME))

        assert (status, attempts) == ("queued", 1)
        assert "certificate verify failed" in str(error)
        assert inbox.mails == []

    def test_a_file_of_certificates_that_is_not_there_puts_it_off(
        self, with_script: WithScript
    ) -> None:
        service = with_script(Scripted(), smtp_security="starttls", smtp_ca_file="/nowhere/ca.pem")

        status, _, error = service.status_of(service.send(WELCOME))

        assert status == "queued"
        assert "SMTP_CA_FILE" in str(error)

    def test_a_server_without_tls_gets_nothing_where_tls_is_wanted(
        self, with_script: WithScript
    ) -> None:
        script = Scripted()
        service = with_script(script, smtp_security="starttls", **LOGIN)

        status, _, error = service.status_of(service.send(WELCOME))

        assert status == "queued"
        assert "STARTTLS" in str(error)
        assert script.mails == []


class TestOutage:
    def test_nobody_listens(self, make_app: MakeApp) -> None:
        service = Deliveries(
            make_app(smtp_host="127.0.0.1", smtp_port=free_port(), delivery_backoff_seconds=3600)
        )

        status, attempts, error = service.status_of(service.send(WELCOME))

        assert (status, attempts) == ("queued", 1)
        assert "refused" in str(error)

    @pytest.mark.parametrize("command", ["", "EHLO", "MAIL", "RCPT", "DATA", "."])
    def test_the_server_dies_in_the_middle(self, with_script: WithScript, command: str) -> None:
        script = Scripted(**{command: None})
        service = with_script(script)

        made = service.send(WELCOME)
        status, attempts, error = service.status_of(made)
        assert (status, attempts) == ("queued", 1)
        assert str(error).startswith("The mail server cannot be used: ")
        script.answers.update({"": "220 hello", "DATA": "354 go on", ".": "250 OK"})
        script.answers[command] = {"": "220 hello", "DATA": "354 go on"}.get(command, "250 OK")
        service.let_time_pass()

        assert service.status_of(made) == ("sent", 2, None)
        ids = {mail.partition(b"Message-ID: ")[2].partition(b"\r\n")[0] for mail in script.mails}
        assert ids == {f"<{made['messageId']}@localhost>".encode()}

    @pytest.mark.parametrize("command", ["", "EHLO", "MAIL", "RCPT", "DATA", "."])
    def test_the_server_hangs(self, with_script: WithScript, command: str) -> None:
        service = with_script(Scripted(**{command: ""}), delivery_timeout_seconds=0.3)

        status, attempts, error = service.status_of(service.send(WELCOME))

        assert (status, attempts) == ("queued", 1)
        assert "timed out" in str(error)
        assert service.seconds < 5

    @pytest.mark.parametrize("security", ["none", "tls"])
    def test_the_server_says_a_letter_at_a_time(
        self,
        make_app: MakeApp,
        serve: Serve,
        certificate: ssl.SSLContext,
        ca_file: str,
        security: str,
    ) -> None:
        script = Scripted()
        script.slowly = True
        server = serve(script.talk, tls=certificate if security == "tls" else None)
        service = Deliveries(
            make_app(
                smtp_host="127.0.0.1",
                smtp_port=server.port,
                smtp_security=security,
                smtp_ca_file=ca_file,
                delivery_timeout_seconds=0.5,
                delivery_backoff_seconds=3600,
            )
        )

        status, attempts, error = service.status_of(service.send(WELCOME))

        assert (status, attempts) == ("queued", 1)
        assert str(error).startswith("The mail server cannot be used: ")
        assert 1.5 <= service.seconds < 5

    @pytest.mark.parametrize(
        ("command", "answer"),
        [
            ("", "421 Too busy"),
            ("", "554 Not today"),
            ("MAIL", "530 Log in first"),
            ("MAIL", "553 Not your address"),
            ("RCPT", "421 Too many"),
            ("DATA", "421 Too many"),
            (".", "451 Try again"),
            (".", "999 What"),
        ],
    )
    def test_what_it_has_against_us_puts_it_off(
        self, with_script: WithScript, command: str, answer: str
    ) -> None:
        service = with_script(Scripted(**{command: answer}))

        made = service.send(WELCOME)

        status, attempts, error = service.status_of(made)
        assert (status, attempts) == ("queued", 1)
        assert str(error).startswith("The ")
        assert service.attempts_at(made)[0]["answer"] == answer

    @pytest.mark.parametrize("command", ["RCPT", "DATA", "."])
    def test_what_it_has_against_the_mail_is_final(
        self, with_script: WithScript, command: str
    ) -> None:
        service = with_script(Scripted(**{command: "554 We do not like it"}))

        made = service.send(WELCOME)

        assert service.status_of(made)[:2] == ("failed", 1)
        assert service.attempts_at(made)[0]["answer"] == "554 We do not like it"

    @pytest.mark.parametrize("answer", [None, "", "421 Bye", "500 What", "nonsense"])
    @pytest.mark.parametrize("command", [".", "RCPT"])
    def test_how_it_says_goodbye_is_of_no_matter(
        self, with_script: WithScript, command: str, answer: str | None
    ) -> None:
        script = Scripted(QUIT=answer)
        script.answers[command] = "250 OK" if command == "." else "550 No such user"
        service = with_script(script, delivery_timeout_seconds=0.5)

        made = service.send(WELCOME)

        expected = ("sent", 1) if command == "." else ("failed", 1)
        assert service.status_of(made)[:2] == expected
        assert len(script.mails) == (command == ".")

    def test_after_the_last_attempt_it_has_failed(self, with_script: WithScript) -> None:
        service = with_script(Scripted(MAIL="450 Later"), delivery_attempts=3)
        made = service.send(WELCOME)
        service.let_time_pass()

        assert service.status_of(made)[:2] == ("queued", 2)
        service.let_time_pass()

        assert service.status_of(made) == ("failed", 3, "The mail server refused us, 3 times")
        assert len(service.attempts_at(made)) == 3
        service.let_time_pass()
        assert len(service.attempts_at(made)) == 3

    def test_controls_in_an_answer_are_not_shown(self, with_script: WithScript) -> None:
        service = with_script(Scripted(RCPT="550 no\x00 \x1b[31m such\ttab"))

        made = service.send(WELCOME)

        (attempt,) = service.attempts_at(made)
        assert attempt["outcome"] == "failed"
        assert attempt["answer"].isprintable()


class TestAddresses:
    def test_a_domain_is_written_as_dns_has_it(self, with_server: Deliveries, inbox: Inbox) -> None:
        made = with_server.send(WELCOME | {"recipient": "john@stra\u00dfe-m\u00fcnchen.de"})

        assert with_server.status_of(made) == ("sent", 1, None)
        assert inbox.envelopes[0].rcpt_tos == ["john@xn--strae-mnchen-o9a32b.de"]
        assert inbox.mails[0]["To"] == "john@xn--strae-mnchen-o9a32b.de"

    def test_letters_before_the_at_sign_go_to_servers_that_take_them(
        self, with_server: Deliveries, inbox: Inbox
    ) -> None:
        made = with_server.send(WELCOME | {"recipient": "j\u00f6rg@example.com"})

        assert with_server.status_of(made) == ("sent", 1, None)
        assert inbox.envelopes[0].rcpt_tos == ["j\u00f6rg@example.com"]
        assert "j\u00f6rg@example.com".encode() in (inbox.envelopes[0].content or b"")

    def test_others_say_so(
        self,
        make_app: MakeApp,
        inbox: Inbox,
        certificate: ssl.SSLContext,
        ca_file: str,
        start: Start,
    ) -> None:
        where = start(real_server(inbox, certificate, enable_SMTPUTF8=False))
        service = Deliveries(make_app(**where, **LOGIN, smtp_ca_file=ca_file))

        made = service.send(WELCOME | {"recipient": "j\u00f6rg@example.com"})

        assert service.status_of(made) == (
            "failed",
            1,
            "The mail server takes only addresses of ASCII letters",
        )

    def test_names_and_words_of_all_scripts_arrive(
        self, with_server: Deliveries, inbox: Inbox
    ) -> None:
        name = "\u0414\u0436\u043e\u043d \u5f20\u4f1f \U0001f6eb"
        data = WELCOME["data"] | {"username": name, "firstName": name}

        made = with_server.send(WELCOME | {"data": data})

        assert with_server.status_of(made) == ("sent", 1, None)
        (mail,) = inbox.mails
        assert mail["Subject"] == f"Welcome to the portal, {name}"
        for part in mail.iter_parts():
            assert name in part.get_content()

    def test_the_address_of_a_user_that_is_none_has_failed(
        self, with_server: Deliveries, inbox: Inbox, users: dict[int, User]
    ) -> None:
        users[7] = User("john@example.com\r\nBcc: jane@example.com", email_verified=True)
        body = {name: value for name, value in WELCOME.items() if name != "recipient"}

        made = with_server.send(body)

        status, attempts, error = with_server.status_of(made)
        assert (status, attempts) == ("failed", 1)
        assert str(error).startswith("It makes no mail: ")
        assert inbox.mails == []


class TestFolder:
    def test_without_a_server_a_mail_is_a_file_and_the_log_says_where(
        self, client: FlaskClient, mine: Services, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO")
        answer = client.post(NOTIFICATIONS, json=WELCOME, headers=SERVICE)

        work_off(mine)

        assert answer.json is not None
        name = f"{answer.json['notification']['messageId']}.eml"
        path = mine.settings.data_dir / "mail" / name
        assert path.read_bytes().startswith(b"From: portal@localhost\r\n")
        assert f"A mail is in {path}" in caplog.messages
        assert [file.name for file in path.parent.iterdir()] == [name]

    def test_a_folder_that_cannot_be_written_puts_it_off(self, make_app: MakeApp) -> None:
        service = Deliveries(make_app(delivery_backoff_seconds=3600))
        folder = mine_of(service.app).settings.data_dir / "mail"
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.write_text("a file where the folder should be")

        made = service.send(WELCOME)
        status, attempts, error = service.status_of(made)
        assert (status, attempts) == ("queued", 1)
        assert str(error).startswith("The mail cannot be written: ")
        folder.unlink()
        service.let_time_pass()

        assert service.status_of(made) == ("sent", 2, None)

    def test_letters_before_the_at_sign_are_written_as_they_are(self, make_app: MakeApp) -> None:
        service = Deliveries(make_app())

        made = service.send(WELCOME | {"recipient": "j\u00f6rg@example.com"})

        (file,) = (mine_of(service.app).settings.data_dir / "mail").iterdir()
        assert service.status_of(made)[0] == "sent"
        assert "To: j\u00f6rg@example.com\r\n".encode() in file.read_bytes()
