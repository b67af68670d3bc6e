"""Logs whom shadow limits would refuse."""

import hashlib
import ipaddress
import logging
import re
import threading
from collections.abc import Callable

from .policy import Charge

logger = logging.getLogger(__name__)

_MOST_LINES = 100  # in a minute
_NUMBERED = re.compile(r"[a-z]+:[0-9]+", re.ASCII)  # user:7


class ShadowLog:
    """A line for each limit and identifier in a minute, and 100 lines in all, in each process."""

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._minute = 0
        self._logged: set[tuple[str, str]] = set()

    def would_refuse(self, charge: Charge) -> None:
        """Log that a shadow limit would have refused this charge."""
        limit = charge.rate_limit
        if self._is_new(limit.name, charge.identifier):
            logger.info(
                "Rate limit %s would refuse %s: %d in %d s, shadow",
                limit.name,
                described(charge.identifier),
                limit.limit,
                limit.window,
            )

    def _is_new(self, name: str, identifier: str) -> bool:
        minute = int(self._clock() // 60)
        with self._lock:
            if minute != self._minute:
                self._minute = minute
                self._logged.clear()
            if (name, identifier) in self._logged or len(self._logged) >= _MOST_LINES:
                return False
            self._logged.add((name, identifier))
            return True


def described(identifier: str) -> str:
    """An address, a network or the number of a user as it is; of others, the kind and a digest.

    They may be e-mail addresses, and typed names, perhaps a password.
    """
    if _NUMBERED.fullmatch(identifier) or _is_network(identifier):
        return identifier
    kind, colon, _ = identifier.partition(":")
    digest = hashlib.sha256(identifier.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    known = kind if colon and kind.isidentifier() and kind.isascii() else "identifier"
    return f"{known[:20]} with digest {digest}"


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True
