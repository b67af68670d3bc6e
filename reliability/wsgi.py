"""What gunicorn loads: Task Processing, whose processes die between COMMIT and what follows it."""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

from app import create_app
from common.pyportal_common.jobs import JobQueue
from common.pyportal_common.web import app as service

from .points import Points, wrap
from .setting import Setting

_BEFORE_SEND = 0.02
_BEFORE_ANSWER = 0.02
_KEY_LEASE = 3.0  # seconds, not a minute: so long waits the client of a process that died


def create() -> Any:
    """The application."""
    wrap(JobQueue, "send", lambda send: _dying_send(send, Setting.of_environment()))
    wrap(service, "IdempotencyStore", lambda store: partial(store, lease_seconds=_KEY_LEASE))
    return create_app()


def _dying_send(send: Callable[..., bool], setting: Setting) -> Callable[..., bool]:
    @cache
    def points() -> Points:
        return Points(setting, "web")  # after gunicorn's fork: its processes share no chance

    def send_or_die(queue: JobQueue, *args: Any, **kwargs: Any) -> bool:
        points().die_perhaps("web-killed:before-send", _BEFORE_SEND)
        sent = send(queue, *args, **kwargs)
        points().die_perhaps("web-killed:before-answer", _BEFORE_ANSWER)
        return sent

    return send_or_die


application = create()
