"""How gunicorn serves a service: what every gunicorn.conf.py sets."""

import os
from pathlib import Path
from typing import Any

from gunicorn.glogging import Logger
from gunicorn.http.errors import InvalidHeader, UnsupportedTransferCoding

from ..logging import logging_config
from ..metrics import share_metrics
from .draining import DrainingWorker, stop_accepting


class _Log(Logger):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's log, without the line a request that it makes and nobody reads."""

    access_log_enabled = False  # web/tracing.py logs requests


class Worker(DrainingWorker):
    """gunicorn's threads, without its one 5xx for what a client did."""

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """Answer what is no HTTP: 400 for a transfer coding that is not known, not 501."""
        if isinstance(exc, UnsupportedTransferCoding):
            exc = InvalidHeader("TRANSFER-ENCODING", req=req)
        super().handle_error(req, client, addr, exc)


def gunicorn_settings(*, port: int) -> dict[str, Any]:
    """Settings for gunicorn. `BIND` moves the address, which is `port` on every interface."""
    settings: dict[str, Any] = {
        "bind": os.environ.get("BIND", f"0.0.0.0:{port}"),
        "worker_class": Worker,
        "when_ready": stop_accepting,
        "workers": 2,
        "threads": 8,
        "preload_app": True,  # create_app opens nothing, so forks share nothing but memory
        "timeout": 30,
        "graceful_timeout": 4,
        "keepalive": 5,
        # Headers from clients must not move paths or schemes; PROXY_HOPS says whom to believe.
        "forwarded_allow_ips": "",
        "forwarder_headers": "",
        "secure_scheme_headers": {},
        "control_socket_disable": True,  # a read-only container has no place for it
        "logger_class": _Log,
        "logconfig_dict": logging_config(
            os.environ.get("LOG_FORMAT", "text"), os.environ.get("LOG_LEVEL", "INFO").upper()
        ),
    }
    # Neither heartbeats nor counts may wait for a disk.
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108
    return settings | {"worker_tmp_dir": memory} | share_metrics(memory)
