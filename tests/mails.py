"""The mails of a portal that `make run` started: files in DATA_DIR."""

import re
from email import message_from_bytes, policy
from email.message import EmailMessage

from .conftest import Portal, wait_until


def mails(portal: Portal, recipient: str, subject: str) -> list[str]:
    """The texts of all mails to an address with a subject that begins so."""
    files = (portal.data_dir / "mail").glob("*.eml")
    found = [message_from_bytes(file.read_bytes(), policy=policy.default) for file in files]
    return [
        _text(mail)
        for mail in found
        if mail["To"] == recipient and mail["Subject"].startswith(subject)
    ]


def mail(portal: Portal, recipient: str, subject: str) -> str:
    """The text of the one mail of that kind, once it is there."""
    wait_until(lambda: mails(portal, recipient, subject) != [], seconds=30)
    (text,) = mails(portal, recipient, subject)
    return text


def token(text: str) -> str:
    """That of the link in a mail's text."""
    (found,) = re.findall(r"#token=(\S+)", text)
    return str(found)


def _text(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
    assert body is not None
    return str(body.get_content())
