"""What the forms of acts have in common: the rows they concern, and the page to return to."""

from collections.abc import Mapping

from pydantic import Field

from ...commands.output import plural
from ...db import Actor
from ...fields import Id
from ...operations import BulkAct, OperationRefused
from ..api.acts import MOST_CHANGED
from .console import Part, Plan
from .forms import BACK, MAX_BACK, Form

_MAX_SHOWN = 20  # ids


class BackForm(Form):
    """The body of an act that returns to the page it was on."""

    back: str = Field("", pattern=BACK, max_length=MAX_BACK)

    def back_or(self, path: str) -> str:
        """The page to return to."""
        return self.back or path


class RowsForm(BackForm):
    """The body of an act on rows: those that were `selected`, or all that match a filter."""

    selected: bool = False
    ids: tuple[Id, ...] = Field((), max_length=1000)

    def chosen_ids(self) -> tuple[int, ...] | None:
        """The ids of the rows; None for all that match. Raises OperationRefused for none."""
        if self.selected and not self.ids:
            raise OperationRefused("nothing is selected")
        return self.ids or None


def plan_for_rows(
    verb: str,
    done: str,
    noun: str,
    bulk: BulkAct,
    back: str,
    given: Mapping[str, object],
) -> Plan:
    """An act on all rows that match a filter, up to 1,000 with each confirmation."""
    count = bulk.count()
    rows = plural(noun, count)

    def act(actor: Actor) -> str | Part:
        changed = bulk.run(actor, at_most=MOST_CHANGED)
        text = f"{done} {plural(noun, changed)}"
        left = count - changed
        if changed < MOST_CHANGED or left <= 0:
            return text
        return Part(f"{text}; {left:,} {'is' if left == 1 else 'are'} left")

    is_more = count > MOST_CHANGED
    return Plan(
        f"{verb} {rows}?",
        f"{verb} the oldest {MOST_CHANGED:,}" if is_more else f"{verb} {rows}",
        act,
        back,
        count=count,
        filter=_shown_filter(given),
        explanation=f"Each confirmation is for up to {MOST_CHANGED:,}." if is_more else "",
    )


def _shown_filter(given: Mapping[str, object]) -> Mapping[str, object]:
    """A filter as the page that confirms an act shows it."""
    shown = {name.replace("_", " "): value for name, value in given.items() if name != "ids"}
    ids = given.get("ids")
    if isinstance(ids, tuple):
        more = len(ids) - _MAX_SHOWN
        shown["ids"] = ", ".join(map(str, ids[:_MAX_SHOWN])) + (f" and {more} more" * (more > 0))
    return shown
