"""The gunicorn settings of every service."""

import gc
import os
import sys
from pathlib import Path
from typing import Any

from ..exits import exit_at_once
from ..extras import requires
from ..logging import logging_config
from ..metrics import share_metrics
from ..settings import exit_if_misconfigured
from .draining import DrainingWorker, stop_accepting
from .settings import GunicornSettings

with requires("gunicorn"):
    from gunicorn.glogging import Logger
    from gunicorn.http.errors import InvalidHeader, UnsupportedTransferCoding

THREADS = 8  # of each worker; half of them may wait while Redis is unavailable


class _Log(Logger):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's log, without its access log."""

    access_log_enabled = False  # web/tracing.py logs requests


class Worker(DrainingWorker):
    """gunicorn's threaded worker, without its one 5xx for an error of a client."""

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """Respond to malformed requests: to an unknown transfer coding with 400, not 501."""
        if isinstance(exc, UnsupportedTransferCoding):
            exc = InvalidHeader("TRANSFER-ENCODING", req=req)
        super().handle_error(req, client, addr, exc)


def _check_redis(worker: Any) -> None:
    """Log what is wrong with Redis as soon as a worker starts. It starts all the same."""
    extensions = getattr(worker.wsgi, "extensions", {})  # it may be wrapped
    for client in extensions.get("redis_clients", ()):
        client.check_soon()


def _end_worker(_server: Any, worker: Any) -> None:
    """Called in a worker, and in the master for a worker that has already ended."""
    error = sys.exc_info()[1]
    if os.getpid() == worker.pid and isinstance(error, SystemExit) and not error.code:
        exit_at_once()


def _end_master(_server: Any) -> None:
    """Called in the master when its workers have ended; after SIGTERM by a StopIteration."""
    if isinstance(sys.exc_info()[1], (StopIteration, KeyboardInterrupt)):
        exit_at_once()


def _freezing(hooks: dict[str, Any]) -> dict[str, Any]:
    """These hooks; and what exists before a fork stays shared: no collection writes to it."""
    choose_slot = hooks["pre_fork"]

    def pre_fork(server: Any, worker: Any) -> None:
        choose_slot(server, worker)
        gc.collect()
        gc.freeze()

    return hooks | {"pre_fork": pre_fork}


def gunicorn_settings(*, port: int) -> dict[str, Any]:
    """Settings for gunicorn, which listens at `BIND`, else on `PORT` of all interfaces.

    `port` is the default of `PORT`. Exits with a message if a variable is invalid.
    """
    with exit_if_misconfigured():
        variables = GunicornSettings.load()
    settings: dict[str, Any] = {
        "bind": variables.bind or f"0.0.0.0:{variables.port or port}",
        "worker_class": Worker,
        "when_ready": stop_accepting,
        "worker_exit": _end_worker,
        "on_exit": _end_master,
        "post_worker_init": _check_redis,
        "workers": variables.web_concurrency,
        "threads": THREADS,
        "preload_app": True,  # create_app opens no connections, so forks share none
        "timeout": 30,
        "graceful_timeout": 4,
        "keepalive": 5,
        # No client header may change paths or schemes: PROXY_HOPS configures trusted proxies.
        "forwarded_allow_ips": "",
        "forwarder_headers": "",
        "secure_scheme_headers": {},
        "control_socket_disable": True,  # needs a writable folder
        "logger_class": _Log,
        "logconfig_dict": logging_config(variables.log_format, variables.log_level),
    }
    # In memory: neither heartbeats nor metrics may wait for a disk.
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108
    return settings | {"worker_tmp_dir": memory} | _freezing(share_metrics(memory))
