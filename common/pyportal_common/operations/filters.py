"""What filters have in common."""

import re
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

_MAX_IDS = 1000
_AGO = re.compile(r"([0-9]{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_YEARS = range(2, 9999)  # a minute more or less must be possible, too: see `made_between`


def check_filter(ids: Sequence[int] | None, error: str | None) -> None:
    """Raise ValueError for more ids than a statement takes, and for an empty text."""
    if ids is not None and len(ids) > _MAX_IDS:
        raise ValueError(f"at most {_MAX_IDS} ids")
    if error is not None and not error.strip():
        raise ValueError("a text to look for is not empty")


def given(wanted: Any) -> dict[str, Any]:
    """What is set in a filter: a dataclass. For the audit log, and to see whether anything is."""
    return {name: _plain(value) for name, value in asdict(wanted).items() if value is not None}


def moment_of(text: str, now: datetime | None = None, *, zone: tzinfo | None = UTC) -> datetime:
    """A time as operators write it: "2h" ago (s, m, h, d), or ISO 8601. Returns it in UTC.

    A time without a zone is in that `zone`; with None it must have one. Raises ValueError for any
    other text.
    """
    try:
        moment = _moment(text.strip(), now or datetime.now(UTC).replace(microsecond=0))
        moment = moment if moment.tzinfo else moment.replace(tzinfo=zone)
        if moment.tzinfo is not None and moment.year in _YEARS:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise ValueError(f"{text!r} is no time: write 2h, 3d, or 2026-11-26T08:15")


def _moment(text: str, now: datetime) -> datetime:
    ago = _AGO.fullmatch(text)
    if ago is None:
        return datetime.fromisoformat(text)
    return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
