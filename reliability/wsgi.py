"""What gunicorn loads: the service, whose processes crash between a COMMIT and what follows it."""

from importlib import import_module
from typing import Any

from common.pyportal_common.jobs import Hints

from .crash_points import CrashPoints
from .settings import RunSettings, process_name

_AROUND_SEND = 0.02


def _create() -> Any:
    settings, name = RunSettings.from_environment(), process_name()
    points = CrashPoints(settings, name, settings.journal(name))
    before, after = "web-killed:before-send", "web-killed:before-response"
    points.add(Hints, "send", _AROUND_SEND, before=before, after=after)
    return import_module("wsgi").application


application = _create()
