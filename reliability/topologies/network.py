"""The network between services and Redis, and between the nodes of Redis: relays on this machine.

Every node of Redis is reached through a relay, which knows its clients by their source addresses:
each service, node and sentinel has one of 127.0.0.0/8 (so this runs on Linux only).
"""

import asyncio
import random
import socket
import threading
from collections.abc import Iterable
from contextlib import suppress

SOURCE = "RELIABILITY_SOURCE"
"""The variable with the source address of a process of a service."""

_CHUNK_BYTES = 65536
_STALL = 0.2  # seconds: a segment that was lost is sent again after that, by Linux
_LOOK = 0.02  # seconds between two looks at a path that is cut


class Network:
    """Relays, in a thread of their own, and what the paths through them are like now.

    A path that is cut holds what is sent, as when packets are dropped, and delivers it afterwards.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._cut: frozenset[tuple[str, int]] = frozenset()
        self._delay = 0.0
        self._loss = 0.0
        self._loop = asyncio.new_event_loop()
        self._pumps: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def relay_to(self, server_port: int) -> int:
        """The port of a new relay to that server."""
        listener = socket.create_server(("127.0.0.1", 0), backlog=512)

        async def accept(near: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._relay(near, writer, server_port)

        starting = asyncio.start_server(accept, sock=listener)
        asyncio.run_coroutine_threadsafe(starting, self._loop).result()
        return int(listener.getsockname()[1])

    def cut(self, sources: Iterable[str], server_ports: Iterable[int]) -> None:
        """Cut the paths from each of these addresses to each of these servers, both ways."""
        ports = tuple(server_ports)
        self._cut |= {(source, port) for source in sources for port in ports}

    def slow_down(self, round_trip: float, loss: float) -> None:
        """Delay every chunk so that a round trip takes that much longer, and stall some."""
        self._delay, self._loss = round_trip / 2, loss

    def heal(self) -> None:
        """End every cut and delay."""
        self._cut, self._delay, self._loss = frozenset(), 0.0, 0.0

    def close(self) -> None:
        """Close everything."""
        asyncio.run_coroutine_threadsafe(self._cancel(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _cancel(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _relay(
        self, near: asyncio.StreamReader, near_writer: asyncio.StreamWriter, port: int
    ) -> None:
        path = (str(near_writer.get_extra_info("peername")[0]), port)
        await self._passable(path)
        try:
            far, far_writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            near_writer.close()
            return
        await asyncio.gather(self._pump(near, far_writer, path), self._pump(far, near_writer, path))

    async def _pump(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, path: tuple[str, int]
    ) -> None:
        with suppress(OSError):
            while chunk := await source.read(_CHUNK_BYTES):
                await self._passable(path)
                target.write(chunk)
                await target.drain()
        await self._passable(path)
        with suppress(OSError):
            target.close()

    async def _passable(self, path: tuple[str, int]) -> None:
        """Wait as long as the path takes."""
        stall = _STALL if self._loss and self._random.random() < self._loss else 0.0
        if self._delay or stall:
            await asyncio.sleep(self._delay + stall)
        while path in self._cut:
            await asyncio.sleep(_LOOK)
