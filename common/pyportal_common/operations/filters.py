"""What filters have in common."""

import re
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

_MAX_IDS = 1000
_AGO = re.compile(r"([0-9]{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def check_filter(ids: Sequence[int] | None, error: str | None) -> None:
    """Raise ValueError for more ids than a statement takes, and for an empty text."""
    if ids is not None and len(ids) > _MAX_IDS:
        raise ValueError(f"at most {_MAX_IDS} ids")
    if error is not None and not error.strip():
        raise ValueError("a text to look for is not empty")


def given(wanted: Any) -> dict[str, Any]:
    """What is set in a filter: a dataclass. For the audit log, and to see whether anything is."""
    return {name: _plain(value) for name, value in asdict(wanted).items() if value is not None}


def moment_of(text: str, now: datetime | None = None) -> datetime:
    """A time as operators write it: "2h" ago (s, m, h, d), or ISO 8601, in UTC without a zone.

    Raises ValueError for any other text.
    """
    ago = _AGO.fullmatch(text.strip())
    try:
        if ago is not None:
            return (now or datetime.now(UTC)) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        moment = datetime.fromisoformat(text.strip())
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is no time: write 2h, 3d, or 2026-11-26T08:15") from None


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
