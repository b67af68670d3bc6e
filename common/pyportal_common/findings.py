"""What checks of a service find: one line each, with what to do."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check has found. `state` is ok, wrong, or unseen if it could not look.

    `milliseconds` is the time until the first byte of what was asked.
    """

    check: str
    state: Literal["ok", "wrong", "unseen"]
    text: str
    remedy: str = ""
    milliseconds: float | None = None


Check = Callable[[], Iterator[Finding]]
"""Yields findings as it goes, so that those before an error are kept."""
