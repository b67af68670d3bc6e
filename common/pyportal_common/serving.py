"""How gunicorn serves a service: what every gunicorn.conf.py sets."""

import os
from pathlib import Path
from typing import Any

from .logging import logging_config


def gunicorn_settings(*, port: int) -> dict[str, Any]:
    """Settings for gunicorn. `BIND` moves the address, which is `port` on every interface."""
    settings: dict[str, Any] = {
        "bind": os.environ.get("BIND", f"0.0.0.0:{port}"),
        "worker_class": "gthread",
        "workers": 2,
        "threads": 8,
        "timeout": 30,
        "graceful_timeout": 5,
        "keepalive": 5,
        "control_socket_disable": True,  # a read-only container has no place for it
        "logconfig_dict": logging_config(
            os.environ.get("LOG_FORMAT", "text"), os.environ.get("LOG_LEVEL", "INFO").upper()
        ),
    }
    if Path("/dev/shm").is_dir():  # noqa: S108  heartbeats must not wait for a disk
        settings["worker_tmp_dir"] = "/dev/shm"  # noqa: S108
    return settings
