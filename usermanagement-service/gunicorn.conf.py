"""How gunicorn serves this service."""

import os
from pathlib import Path

from common.pyportal_common.logging import logging_config

bind = os.environ.get("BIND", "0.0.0.0:5001")
worker_class = "gthread"
workers = 2
threads = 8
timeout = 30
graceful_timeout = 5
keepalive = 5
control_socket_disable = True  # a read-only container has no place for it
if Path("/dev/shm").is_dir():  # noqa: S108  heartbeats must not wait for a disk
    worker_tmp_dir = "/dev/shm"  # noqa: S108
logconfig_dict = logging_config(
    os.environ.get("LOG_FORMAT", "text"), os.environ.get("LOG_LEVEL", "INFO").upper()
)
