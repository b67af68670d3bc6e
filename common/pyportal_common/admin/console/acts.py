"""What the forms of acts have in common: the rows they concern, and the page to return to."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from ...operations import OperationRefused
from .forms import BACK, MAX_BACK, MAX_ID, Form

_MAX_SHOWN = 20  # ids


class BackForm(Form):
    """The body of an act that returns to the page it was on."""

    back: str = Field("", pattern=BACK, max_length=MAX_BACK)

    def back_or(self, path: str) -> str:
        """The page to return to."""
        return self.back or path


class Selection(BackForm):
    """The body of an act on rows: those that were `selected`, or all that match a filter."""

    selected: bool = False
    ids: tuple[Annotated[int, Field(ge=1, le=MAX_ID)], ...] = Field((), max_length=1000)

    def chosen_ids(self) -> tuple[int, ...] | None:
        """The ids of the rows; None for all that match. Raises OperationRefused for none."""
        if self.selected and not self.ids:
            raise OperationRefused("nothing is selected")
        return self.ids or None


def shown_filter(given: Mapping[str, object]) -> Mapping[str, object]:
    """A filter as the page that confirms an act shows it."""
    shown = {name.replace("_", " "): value for name, value in given.items() if name != "ids"}
    ids = given.get("ids")
    if isinstance(ids, tuple):
        more = len(ids) - _MAX_SHOWN
        shown["ids"] = ", ".join(map(str, ids[:_MAX_SHOWN])) + (f" and {more} more" * (more > 0))
    return shown
