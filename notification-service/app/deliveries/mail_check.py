"""What `doctor` checks of the mail server. No mail is sent."""

import time
from collections.abc import Iterator

from common.pyportal_common.findings import Finding

from ..settings import NotificationSettings
from .mailers import SmtpMailer
from .outcomes import TransientFailure

_STEP_SECONDS = 1.5  # and three steps at most


def check_mail(settings: NotificationSettings) -> Iterator[Finding]:
    """Whether the SMTP server takes a connection, with TLS and the login as they are set."""
    if not settings.smtp_host:
        yield _without_server(settings)
        return
    brief = settings.model_copy(update={"delivery_timeout_seconds": _STEP_SECONDS})
    began = time.monotonic()
    try:
        SmtpMailer(brief).check()
    except TransientFailure as failure:
        answer = f": {failure.answer}" if failure.answer else ""
        yield Finding("mail", "wrong", f"{failure}{answer}", "see SMTP_* and the server's log")
        return
    took = (time.monotonic() - began) * 1000
    yield Finding("mail", "ok", f"{_described(settings)} answers", milliseconds=took)
    if settings.smtp_security == "none" and not settings.is_local:
        text = "e-mails and the login are sent without TLS"
        yield Finding("mail", "wrong", text, "set SMTP_SECURITY to starttls or tls")


def _without_server(settings: NotificationSettings) -> Finding:
    text = "SMTP_HOST is not set: e-mails are files in DATA_DIR/mail"
    if settings.is_local:
        return Finding("mail", "ok", text)
    return Finding("mail", "wrong", text, "set SMTP_HOST")


def _described(settings: NotificationSettings) -> str:
    return f"the SMTP server with SMTP_SECURITY {settings.smtp_security}"
