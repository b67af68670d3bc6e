"""Cron expressions in a time zone, and the moments that they name."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ..extras import requires

with requires("jobs"):
    from cronsim import CronSim, CronSimError

_LOOK_BACK = tuple(timedelta(hours=4**power) for power in range(9))  # up to 7 years
_LONGEST = timedelta(days=366 * 9)  # between two leap days, over a century


@dataclass(frozen=True)
class Cron:
    """A cron expression with five fields, in an IANA time zone. Ticks are in UTC.

    As in Debian's cron: when clocks go forward, a tick at a fixed time in the hour that does not
    exist is at the end of that hour; when they go back, one in the hour that is repeated is in the
    first. An expression whose minute or hour begins with `*` follows the time that passes: it has
    its ticks in both hours. Raises ValueError.
    """

    expression: str
    zone: str = "UTC"
    _zone: ZoneInfo = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "_zone", ZoneInfo(self.zone))
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"{self.zone!r} is not an IANA time zone") from None
        if len(self.expression.split()) != 5:
            raise ValueError(f"{self.expression!r} must have five fields")
        try:
            self.after(datetime.now(UTC))
        except (CronSimError, StopIteration) as error:
            raise ValueError(f"{self.expression!r} is not a cron expression: {error}") from None

    def after(self, moment: datetime) -> datetime:
        """The first tick after a moment."""
        ticks = CronSim(self.expression, moment.astimezone(self._zone))
        while True:
            tick = next(ticks).astimezone(UTC)
            if tick > moment:
                return tick

    def latest(self, moment: datetime) -> datetime | None:
        """The last tick up to a moment; None if there was none in nine years."""
        for back in (*_LOOK_BACK, _LONGEST):
            ticks = CronSim(self.expression, (moment - back).astimezone(self._zone))
            in_utc = (tick.astimezone(UTC) for tick in ticks)
            found = max(takewhile(lambda tick: tick <= moment, in_utc), default=None)
            if found is not None:
                return found
        return None
