"""The worker of Notification, which dies as every worker, and between a delivery and its COMMIT."""

from collections.abc import Callable
from importlib import import_module
from typing import Any
from uuid import uuid4

from ..deaths import die_at_jobs, sweep_nothing
from ..points import Points, wrap
from ..setting import Setting

_BEFORE_COMMIT = 0.02


def main() -> None:
    """Deliver until SIGTERM, or until chance has it otherwise."""
    setting = Setting.of_environment()
    points = Points(setting, "worker")
    die_at_jobs(points)
    deliveries = import_module("app.deliveries")  # by name: here `app` is that of another service
    wrap(deliveries, "_send", lambda send: _dying_send(send, points))
    if setting.without == "sweeper":
        sweep_nothing()
    if setting.without == "id":
        wrap(deliveries, "_send", _with_other_ids)
    import_module("app.worker").main()


def _dying_send(send: Callable[..., Any], points: Points) -> Callable[..., Any]:
    def send_and_die(*args: Any) -> Any:
        delivered = send(*args)
        points.die_perhaps("worker-killed:before-commit", _BEFORE_COMMIT)
        return delivered

    return send_and_die


def _with_other_ids(send: Callable[..., Any]) -> Callable[..., Any]:
    """As it must not be: each attempt has an id of its own."""

    def send_as_new(notification: Any, *args: Any) -> Any:
        notification.message_id = uuid4().hex
        return send(notification, *args)

    return send_as_new


if __name__ == "__main__":
    main()
