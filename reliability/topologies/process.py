"""A process of a service, whose connections come from an address by which the network knows it.

gunicorn loads `application`; as a program it is the service's worker.
"""

import os
import runpy
import socket
from importlib import import_module
from typing import Any

from reliability.topologies.network import SOURCE


def _bind_connections_to(source: str) -> None:
    connect: Any = socket.socket.connect

    def connect_from(sock: socket.socket, address: Any) -> None:
        if sock.family == socket.AF_INET and address[0] == "127.0.0.1":
            sock.bind((source, 0))
        connect(sock, address)

    socket.socket.connect = connect_from  # type: ignore[assignment, method-assign]


_bind_connections_to(os.environ[SOURCE])
if __name__ == "__main__":
    runpy.run_module("app.worker", run_name="__main__")
else:
    application = import_module("wsgi").application
