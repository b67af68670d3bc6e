"""Checks of what a service depends on. Each is independent of the others."""

import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from ..cache_handlers import RedisClient, RedisLayerError
from ..findings import Check, Finding
from ..jobs.services import BaseServices
from .checks import (
    check_consistency,
    check_disk,
    check_invalidations,
    check_jobs,
    check_migrations,
    check_sql,
    check_versions,
)
from .errors import OperationRefused
from .peers import peer_checks
from .redis_checks import check_database

logger = logging.getLogger(__name__)

_SECONDS = 5.0
_SEE = "see that it runs and can be reached"


class Doctor:
    """Runs checks by name, side by side. One that fails says what it could not see.

    All together take at most `seconds`: one that has not ended by then is not waited for, and it
    is not started again while it hangs.
    """

    def __init__(self, checks: Mapping[str, Check], *, seconds: float = _SECONDS) -> None:
        self._checks = checks
        self._seconds = seconds
        self._running: dict[str, _Run] = {}
        self._one_at_a_time = threading.Lock()

    @classmethod
    def of(
        cls, services: BaseServices, clients: Mapping[str, RedisClient], migrations: Path
    ) -> "Doctor":
        """The checks of a service: those that all have, and its own."""
        database, settings = services.database, services.settings
        redis = {
            f"redis {name}": partial(check_database, name, client, services.name)
            for name, client in clients.items()
        }
        return cls(
            {
                "versions": check_versions,
                **redis,
                "sql": partial(check_sql, database),
                "migrations": partial(check_migrations, database, migrations),
                "jobs": partial(check_jobs, services),
                "invalidations": partial(check_invalidations, database),
                "consistency": partial(check_consistency, services.name),
                "disk": partial(check_disk, settings.data_dir),
                **peer_checks(services.name, settings),
                **services.checks(),
            }
        )

    def examine(self) -> Sequence[Finding]:
        """The findings of all checks."""
        with self._one_at_a_time:
            until = time.monotonic() + self._seconds
            for name, check in self._checks.items():
                if name not in self._running:
                    self._running[name] = _Run(name, check)
            return [finding for name in self._checks for finding in self._findings(name, until)]

    def _findings(self, name: str, until: float) -> Sequence[Finding]:
        run = self._running[name]
        run.thread.join(max(0.0, until - time.monotonic()))
        if not run.thread.is_alive():
            del self._running[name]
            return run.findings
        text = f"no answer within {self._seconds:g} s"
        return [*run.findings, Finding(name, "unseen", text, _SEE)]


class _Run:
    """A check in a thread of its own, which does not keep the process alive."""

    def __init__(self, name: str, check: Check) -> None:
        self.findings: list[Finding] = []
        self._name = name
        self._check = check
        self.thread = threading.Thread(target=self._run, name=f"check-{name}", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        self.findings.extend(self._found())

    def _found(self) -> Iterator[Finding]:
        try:
            yield from self._check()
        except (RedisLayerError, SQLAlchemyError, OperationRefused, OSError) as error:
            text = " ".join(str(getattr(error, "orig", None) or error).split())
            yield Finding(self._name, "unseen", text, _SEE)
        except Exception as error:  # its message may contain anything
            logger.exception("The check %s failed", self._name)
            text = f"the check failed with {type(error).__name__}"
            yield Finding(self._name, "unseen", text, "see the traceback in the log")
