"""What the doctor says about the mail server, which gets no mail."""

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from flask import Flask

from app.deliveries import mail_check
from app.deliveries.mail_check import check_mail
from app.settings import NotificationSettings
from common.pyportal_common.findings import Finding
from common.pyportal_common.redis_server import free_port
from common.pyportal_common.testing.raw_servers import RawServer

from .conftest import Serve, services_of
from .mail_servers import PASSWORD, USERNAME, Inbox, Scripted, real_server

LOGIN = {"smtp_username": USERNAME, "smtp_password": PASSWORD}
Check = Callable[..., Finding]


def found(**settings: Any) -> list[Finding]:
    given = NotificationSettings.load(smtp_host="127.0.0.1", **LOGIN, **settings)
    findings = list(check_mail(given))
    assert PASSWORD not in str(findings)
    return findings


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


class TestRealServers:
    @pytest.fixture
    def ca_file(self, authority: trustme.CA, tmp_path: Path) -> str:
        path = str(tmp_path / "ca.pem")
        authority.cert_pem.write_to_path(path)
        return path

    @pytest.fixture(params=["starttls", "tls"])
    def served(
        self, request: pytest.FixtureRequest, authority: trustme.CA
    ) -> Iterator[tuple[Inbox, dict[str, Any]]]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        inbox = Inbox()
        server = real_server(inbox, context, security=request.param)
        server.start()
        yield inbox, {"smtp_port": server.port, "smtp_security": request.param}
        server.stop()

    def test_one_that_takes_our_login(
        self, served: tuple[Inbox, dict[str, Any]], ca_file: str
    ) -> None:
        inbox, settings = served

        [finding] = found(smtp_ca_file=ca_file, **settings)

        assert (finding.state, inbox.envelopes) == ("ok", [])
        assert finding.milliseconds is not None
        assert settings["smtp_security"] in finding.text

    def test_a_wrong_password(self, served: tuple[Inbox, dict[str, Any]], ca_file: str) -> None:
        given = {**LOGIN, **served[1], "smtp_password": "wrong-" + PASSWORD}
        settings = NotificationSettings.load(smtp_host="127.0.0.1", smtp_ca_file=ca_file, **given)

        [finding] = check_mail(settings)

        assert finding.state == "wrong"
        assert "refused our login: 535" in finding.text
        assert PASSWORD not in finding.text

    def test_a_certificate_of_others(self, served: tuple[Inbox, dict[str, Any]]) -> None:
        [finding] = found(**served[1])

        assert finding.state == "wrong"
        assert "CERTIFICATE_VERIFY_FAILED" in finding.text


class TestScriptedServers:
    """Without TLS."""

    @pytest.fixture
    def answered(self, serve: Serve) -> Callable[..., list[Finding]]:
        def answered(public_url: str = "http://localhost", **answers: str | None) -> list[Finding]:
            scripted = Scripted(EHLO="250-hello\r\n250 AUTH PLAIN", AUTH="235 OK", **answers)
            server: RawServer = serve(scripted.talk)
            findings = found(smtp_port=server.port, smtp_security="none", public_url=public_url)
            assert scripted.mails == []
            return findings

        return answered

    def test_without_tls_it_is_for_this_machine_only(self, answered: Any) -> None:
        assert [each.state for each in answered()] == ["ok"]

        _, finding = answered("https://portal.example.com")

        assert (finding.state, "without TLS" in finding.text) == ("wrong", True)

    @pytest.mark.parametrize(
        ("answers", "words"),
        [
            ({"": "554 go away"}, "554 go away"),
            ({"NOOP": "451 not now"}, "451 not now"),
            ({"NOOP": None}, "cannot be used"),
            ({"": ""}, "cannot be used"),
        ],
    )
    def test_one_that_refuses_or_hangs(
        self,
        answers: dict[str, str | None],
        words: str,
        answered: Any,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(mail_check, "_STEP_SECONDS", 0.2)

        [finding] = answered(**answers)

        assert finding.state == "wrong"
        assert words in finding.text
        assert finding.remedy

    def test_one_without_tls_that_should_have_it(self, serve: Serve) -> None:
        server = serve(Scripted(EHLO="250-hello\r\n250 AUTH PLAIN").talk)

        [finding] = found(smtp_port=server.port, smtp_security="starttls")

        assert finding.state == "wrong"
        assert "STARTTLS" in finding.text

    def test_one_that_is_down(self) -> None:
        [finding] = found(smtp_port=free_port())

        assert (finding.state, "refused" in finding.text) == ("wrong", True)


@pytest.mark.parametrize(
    ("url", "state"), [("http://localhost:5001", "ok"), ("https://portal.example.com", "wrong")]
)
def test_files_in_place_of_a_server(url: str, state: str) -> None:
    [finding] = check_mail(NotificationSettings.load(smtp_host="", public_url=url))

    assert (finding.state, "DATA_DIR/mail" in finding.text) == (state, True)


def test_the_doctor_of_this_service_checks_it(app: Flask) -> None:
    assert [each.check for each in services_of(app).checks()["mail"]()] == ["mail"]

    printed = app.test_cli_runner().invoke(args=["doctor"]).output

    assert "e-mails are files" in printed
