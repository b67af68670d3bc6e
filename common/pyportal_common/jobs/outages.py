"""Logs the outages of SQL that a worker notices: one line at the beginning, one at the end."""

import logging
import threading
import time

from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

logger = logging.getLogger(__name__)

_QUIET_SECONDS = 2.0  # without a failure, until an outage counts as ended: late ones belong to it


def is_outage_of_sql(error: BaseException) -> bool:
    """Whether the database did not answer, in contrast to a statement that it refused."""
    return isinstance(error, OperationalError | InterfaceError | PoolTimeout)


class SqlOutages:
    """Whether SQL answers, as one worker sees it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failed_at: float | None = None

    def note(self, error: SQLAlchemyError, effect: str) -> None:
        """Log an error. One of an outage is logged once in each outage."""
        if not is_outage_of_sql(error):
            logger.error("%s: %s", effect, error)
            return
        with self._lock:
            is_first, self._failed_at = self._failed_at is None, time.monotonic()
        if is_first:
            reason = str(getattr(error, "orig", None) or error)
            logger.warning("SQL does not answer, jobs wait: %s", reason.partition("\n")[0])
        else:
            logger.debug("%s: %s", effect, error)

    def answered(self) -> None:
        """SQL has answered."""
        if self._failed_at is None:
            return
        with self._lock:
            has_ended = self._is_over()
            if has_ended:
                self._failed_at = None
        if has_ended:
            logger.warning("SQL answers again")

    def _is_over(self) -> bool:
        return self._failed_at is not None and time.monotonic() > self._failed_at + _QUIET_SECONDS
