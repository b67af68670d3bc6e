"""The forms of the console's acts."""

import re
from collections.abc import Container

from ...web import Problem
from ...web.pages import Filter, read_pairs

BACK = r"^(?:/[a-z0-9-]+)?/console(?:[/?][^\s\\]*)?$"  # a page to return to after an act
MAX_BACK = 1000


class Form(Filter):
    """Base of the body of an act."""

    confirmed: bool = False

    def pairs(self, without: Container[str] = ()) -> list[tuple[str, object]]:
        """The fields that are given, as they are sent again to confirm the act."""
        found = []
        for name, value in self:
            is_sent = name != "confirmed" and name not in without
            if is_sent and value not in (None, (), "", False):
                values = value if isinstance(value, tuple) else (value,)
                found += [(name, each) for each in values]
        return found


def read_back() -> str:
    """The page to return to after an act that is not done; nothing if its form names none."""
    try:
        back = dict(read_pairs()).get("back", "")
    except Problem:
        return ""
    return back if len(back) <= MAX_BACK and re.fullmatch(BACK, back) else ""
