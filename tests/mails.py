"""Mails as files. This module also runs in a container: `python - FOLDER < tests/mails.py`."""

import json
import re
import sys
from email import message_from_bytes, policy
from pathlib import Path
from typing import NamedTuple


class Mail(NamedTuple):
    """A mail. `text` is its plain text."""

    to: str
    subject: str
    text: str


def read_mails(folder: Path) -> list[Mail]:
    """All mails in a folder."""
    return [_read(file) for file in folder.glob("*.eml")]


def _read(file: Path) -> Mail:
    message = message_from_bytes(file.read_bytes(), policy=policy.default)
    body = message.get_body(("plain",))
    assert body is not None
    return Mail(message["To"], message["Subject"], body.get_content())


def token(text: str) -> str:
    """The token of the link in a mail's text."""
    (found,) = re.findall(r"#token=(\S+)", text)
    return str(found)


if __name__ == "__main__":
    print(json.dumps(read_mails(Path(sys.argv[1]))))
