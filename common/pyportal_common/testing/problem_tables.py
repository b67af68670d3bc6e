"""The tables of docs/errors.md."""

import re
from pathlib import Path

from ..web import ProblemType
from ..web.problem_types import by_status


def rows_of(kinds: type[ProblemType]) -> list[str]:
    """The rows that describe these kinds of errors."""
    return [
        f"| `{kind.code}` | {kind.status} | {kind.text} | {kind.meaning} |"
        for kind in by_status(kinds)
    ]


def documented(page: Path, title: str) -> list[str]:
    """The rows of the section with a title."""
    sections = f"\n{page.read_text('utf-8')}".split("\n## ")
    [section] = (text for text in sections if text.startswith(f"{title}\n"))
    return re.findall(r"^\| `.*$", section, re.MULTILINE)
