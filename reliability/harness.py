"""What came of a run."""

from collections import Counter
from dataclasses import dataclass

from .clients import Told
from .state import State


@dataclass(frozen=True)
class Outcome:
    """Times are seconds."""

    told: Told
    state: State
    faults: Counter[str]
    took: float
    until_accepted: float  # the last request of a client, from the last fault on
    until_final: float | None  # the last task, from then on; None where that never came
    ended_badly: list[str]  # processes that did not end well when they were asked to
