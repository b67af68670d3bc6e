"""The mails of the portal in containers: files in a volume that only the worker reaches."""

import json
import re

from .conftest import Compose, wait_until

_READ = """
import email, email.policy, json, pathlib
mails = [
    email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
    for file in pathlib.Path("/data/mail").glob("*.eml")
]
texts = [(mail["To"], mail["Subject"], mail.get_body(("plain",)).get_content()) for mail in mails]
print(json.dumps(texts))
"""


def mail(compose: Compose, recipient: str, subject: str) -> str:
    """The text of the one mail with a subject that begins so, once it is there."""
    found: list[str] = []

    def is_there() -> bool:
        read = compose("exec", "-T", "notification-worker", "python", "-", stdin=_READ)
        for to, about, text in json.loads(read):
            if to == recipient and about.startswith(subject):
                found.append(text)
        return bool(found)

    wait_until(is_there)
    (text,) = found
    return text


def token(text: str) -> str:
    """That of the link in a mail's text."""
    (found,) = re.findall(r"#token=(\S+)", text)
    return str(found)
