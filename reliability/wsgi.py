"""What gunicorn loads: the service, whose processes crash between a COMMIT and what follows it."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from common.pyportal_common.cache_handlers import IdempotencyStore
from common.pyportal_common.jobs import JobQueue

from .crash_points import CrashPoints, wrap
from .settings import RunSettings, process_name

_AROUND_SEND = 0.02
_KEY_LEASE = 3.0  # seconds instead of 60, for which the client of a crashed process has to wait


def _with_short_lease(init: Callable[..., None]) -> Callable[..., None]:
    def init_with_short_lease(*args: Any, **kwargs: Any) -> None:
        init(*args, **{"lease_seconds": _KEY_LEASE, **kwargs})

    return init_with_short_lease


def _create() -> Any:
    settings, name = RunSettings.from_environment(), process_name()
    points = CrashPoints(settings, name, settings.journal(name))
    before, after = "web-killed:before-send", "web-killed:before-response"
    points.add(JobQueue, "send", _AROUND_SEND, before=before, after=after)
    wrap(IdempotencyStore, "__init__", _with_short_lease)
    return import_module("wsgi").application


application = _create()
