"""Connections to the master that sentinels name."""

from typing import Any

import redis

from .sentinel import Master
from .tls import TlsConnection


class ToMaster(redis.Connection):
    """A connection to the master. A replica that answers is refused, as an outage."""

    def __init__(self, *, master: Master, **options: Any) -> None:
        self._master = master
        super().__init__(**options)  # type: ignore[no-untyped-call]  # redis-py has no types

    def _connect(self) -> Any:
        self.host, self.port = self._master.find()
        connect: Any = super()._connect
        try:
            return connect()
        except (OSError, redis.RedisError):  # the second if TLS fails
            self._master.forget()
            raise

    def on_connect_check_health(self, check_health: bool = True) -> None:
        """See redis.Connection."""
        super().on_connect_check_health(check_health)
        send: Any = self.send_command
        send("INFO", "replication", check_health=False)
        reply: bytes = self.read_response(disable_decoding=True)
        if b"role:master" not in reply:
            self._master.forget()
            raise redis.ConnectionError(f"{self.host}:{self.port} is a replica")


class ToMasterByTls(ToMaster, TlsConnection):
    """The same, encrypted."""


def connection_class(given: type[Any] | None) -> type[Any]:
    """The class of connections to the master, in place of that of connections to one server."""
    is_encrypted = given is not None and issubclass(given, TlsConnection)
    return ToMasterByTls if is_encrypted else ToMaster
