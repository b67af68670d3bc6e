"""Filters by time and by the text of an error, as fields of forms."""

from ...web.pages import Filter
from ..narrowing import ErrorText, Moment


class Timed(Filter):
    """What happened in a time. "2h" becomes a fixed time: an act concerns what its page counted."""

    since: Moment | None = None
    until: Moment | None = None


class Narrowing(Timed):
    """What was created in a time, with a text in its error."""

    error: ErrorText | None = None
