"""What gunicorn loads in an HTTP run: User Management, whose processes kill themselves."""

import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from importlib import import_module
from typing import Any

from common.pyportal_common.cache_handlers import Cache, RedisRefused, Removal
from common.pyportal_common.cache_handlers.admission.value_reads import ValueReads
from common.pyportal_common.db import Database
from common.pyportal_common.db.records import Records

from ..crash_points import CrashPoints, wrap
from ..settings import RunSettings, process_name

_AROUND_COMMIT = 0.002
_WITHIN_REQUEST = 0.0005
_MAX_DELAY = 0.05  # seconds from the beginning of a request until the kill
_SLOW_LOADS = 0.05
_MAX_LOAD = 0.3  # seconds
_MAX_RENEWAL = 3.0  # longer than trust lasts

Wsgi = Callable[[dict[str, Any], Any], Iterable[bytes]]


def _killed_within_requests(application: Wsgi, points: CrashPoints, killed: str) -> Wsgi:
    def serve(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if points.maybe(_WITHIN_REQUEST):
            kill = (f"{killed}:within-request", 1.0)
            threading.Timer(points.uniform(_MAX_DELAY), points.maybe_crash, kill).start()
        return application(environ, start_response)

    return serve


def _slow(
    load: Callable[..., Any], points: CrashPoints, max_seconds: float = _MAX_LOAD
) -> Callable[..., Any]:
    """Sometimes, what was read from SQL is older when it is used."""

    def load_slowly(*args: Any) -> Any:
        loaded = load(*args)
        points.maybe_pause(_SLOW_LOADS, max_seconds)
        return loaded

    return load_slowly


def _without_waiting(init: Callable[..., None]) -> Callable[..., None]:
    """Mutant: writers answer at once although Redis has not acknowledged the removal."""

    def init_impatient(database: Database, *args: Any, **kwargs: Any) -> None:
        init(database, *args, **kwargs)
        database.writers_wait = False

    return init_impatient


def _without_trust(_: Callable[..., bool]) -> Callable[..., bool]:
    """Mutant: values are read with the session although the process does not trust Redis."""
    return lambda *_: True


def _without_writing(remove: Callable[..., None]) -> Callable[..., None]:
    """Mutant: a server that refuses writes renews trust nevertheless."""

    def remove_if_accepted(*args: Any) -> None:
        with suppress(RedisRefused):
            remove(*args)

    return remove_if_accepted


def _create() -> Wsgi:
    settings, name = RunSettings.from_environment(), process_name()
    points = CrashPoints(settings, name, settings.journal(name))
    killed = f"worker-killed:{name}"
    points.add(Cache, "fence", _AROUND_COMMIT, after=f"{killed}:before-commit")
    points.add(Cache, "unfence", _AROUND_COMMIT, before=f"{killed}:after-commit")
    match settings.mutant:
        case "waiting":
            wrap(Database, "__init__", _without_waiting)
        case "trust-of-reads":
            wrap(ValueReads, "is_trusted", _without_trust)
        case "renewal-write":
            wrap(Removal, "check", _without_writing)
            wrap(Removal, "_remove", _without_writing)
    wrap(Records, "pending", lambda read: _slow(read, points, _MAX_RENEWAL))
    users = import_module("app.users.service").Users
    wrap(users, "_load", lambda load: _slow(load, points))
    return _killed_within_requests(import_module("wsgi").application, points, killed)


application = _create()
