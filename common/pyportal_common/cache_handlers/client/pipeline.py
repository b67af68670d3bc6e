"""Several commands in one round trip."""

from collections.abc import Callable
from typing import Any

import redis
import redis.client


class Pipeline(redis.client.Pipeline):
    """redis-py's pipeline, with the breaker and the errors of the client that created it."""

    def __init__(
        self, guard: Callable[..., Any], connection: "redis.Redis", transaction: bool
    ) -> None:
        super().__init__(
            connection.connection_pool, connection.response_callbacks, transaction, None
        )
        self._guard = guard

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Send the queued commands and return their replies in order."""
        replies: list[Any] = self._guard(super().execute, raise_on_error)
        return replies

    def immediate_execute_command(self, *args: Any, **options: Any) -> Any:
        """Send a command at once, as WATCH and the reads after it do."""
        send = super().immediate_execute_command
        return self._guard(lambda: send(*args, **options))  # type: ignore[no-untyped-call]  # redis-py's

    def annotate_exception(self, exception: Exception, number: int, command: Any) -> None:
        """Name the failed command without its arguments, because errors are logged."""
        message = str(exception.args[0]) if exception.args else ""
        exception.args = (f"{message} (command {number} of a pipeline, {command[0]})",)

    def reset(self) -> None:  # type: ignore[override]  # of the pipeline, not the command
        """End a WATCH and release the connection, even if the server does not answer.

        redis-py's own method never releases the connection if UNWATCH times out.
        """
        try:
            super().reset()
        except redis.RedisError:
            if self.connection is not None:
                self.connection.disconnect()
            self.watching = False
            super().reset()
