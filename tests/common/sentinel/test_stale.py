"""No read that starts after a writer's answer returns an older value, through failovers."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import partial

import pytest
from sqlalchemy.exc import OperationalError

from common.pyportal_common.cache_handlers import RedisLayerError
from common.pyportal_common.cache_handlers.client import to_master
from common.pyportal_common.redis_server import RedisServer
from common.pyportal_common.testing.sentinel import SentinelSetup

from ..caching_process import Process
from ..items import change, value_of
from ..waiting import wait_until
from .conftest import StartProcess

LONG = 120.0  # seconds

# Too many writers wait, or SQLite is locked for longer than a writer waits: nothing was written.
NO_ANSWER = (RedisLayerError, OperationalError)

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sentinel that gets no processor for a while has not failed in these tests."""
    monkeypatch.setattr(to_master, "ASK_SECONDS", 10.0)


def read_from_cache(process: Process) -> int:
    """The value of the item, when this process uses cached values."""
    wait_until(lambda: process.client.trusts("item:1"), seconds=LONG)
    return process.read()


def caches(process: Process, value: int) -> bool:
    """Whether a read finds this value, and caches it."""
    return read_from_cache(process) == value and process.client.get("item:1") == str(value)


class Checked:
    """A writer that counts up the item, and what readers find."""

    def __init__(self) -> None:
        self.answered = 0
        self.stale: list[tuple[int, int]] = []
        self.reads = 0
        self.over = False

    @contextmanager
    def running(self, writer: Process, readers: Sequence[Process]) -> Iterator[None]:
        """Write and read in threads meanwhile."""
        threads = [
            threading.Thread(target=self.write, args=[writer]),
            *(threading.Thread(target=self.read, args=[reader]) for reader in readers),
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.over = True
            for thread in threads:
                thread.join()

    def write(self, process: Process) -> None:
        while not self.over:
            with suppress(*NO_ANSWER):
                value = value_of(process.database) + 1
                change(process.database, value=value)
                self.answered = value
            time.sleep(0.005)

    def read(self, process: Process) -> None:
        while not self.over:
            floor = self.answered
            with suppress(*NO_ANSWER):
                value = process.read()
                self.reads += 1
                if value < floor:
                    self.stale.append((value, floor))


def killed_and_back(setup: SentinelSetup) -> None:
    old = setup.primary
    setup.kill(old)
    setup.wait_for_primary(other_than=old)
    setup.start_again(old)
    setup.wait_until_whole()


def frozen_and_thawed(setup: SentinelSetup) -> None:
    old = setup.primary
    setup.freeze(old)
    setup.wait_for_primary(other_than=old)
    setup.thaw(old)
    setup.wait_until_whole()


def replaced_twice(setup: SentinelSetup) -> None:
    for _ in range(2):
        setup.fail_over()
        setup.wait_until_whole()


@pytest.mark.parametrize("fail", [killed_and_back, frozen_and_thawed, replaced_twice])
def test_under_load(
    fail: Callable[[SentinelSetup], None],
    sentinel_setup: SentinelSetup,
    start_process: StartProcess,
) -> None:
    checked = Checked()
    writer, readers = start_process(), [start_process() for _ in range(2)]
    with checked.running(writer, readers * 2):
        wait_until(lambda: checked.reads > 100, seconds=LONG)
        fail(sentinel_setup)
        answered, reads = checked.answered, checked.reads
        wait_until(lambda: checked.answered > answered + 3, seconds=LONG)
        wait_until(lambda: checked.reads > reads + 100, seconds=LONG)

    assert checked.stale == []
    for reader in readers:  # cached values are used again
        wait_until(partial(caches, reader, checked.answered), seconds=LONG)


class TestBackToTheFirstMaster:
    """The second one has received an invalidation, and the first one has the old value."""

    @pytest.fixture
    def processes(self, start_process: StartProcess) -> list[Process]:
        processes = [start_process() for _ in range(3)]
        assert [read_from_cache(process) for process in processes] == [0, 0, 0]
        wait_until(lambda: processes[0].client.get("item:1"), seconds=LONG)
        return processes

    @pytest.fixture
    def come_back(
        self, sentinel_setup: SentinelSetup, processes: Sequence[Process]
    ) -> tuple[RedisServer, str]:
        """Replace the master, write, and lose the new one before the first one is told."""
        first, rest = sentinel_setup.primary, sentinel_setup.replicas
        identity = identity_of(sentinel_setup, first)
        sentinel_setup.freeze(first)
        second = sentinel_setup.wait_for_primary(other_than=first)
        writer = processes[0]
        wait_until(lambda: writer.client.ping() and not writer.client.breaker.is_open, seconds=LONG)
        change(writer.database, value=1)
        wait_until(lambda: marks_done(writer), seconds=LONG)

        for server in rest:
            sentinel_setup.kill(server)
        sentinel_setup.thaw(first)
        sentinel_setup.wait_for_primary(other_than=second)
        for server in rest:
            sentinel_setup.start_again(server)
        sentinel_setup.wait_until_whole()
        return first, identity

    def test_no_process_uses_the_old_value(
        self,
        sentinel_setup: SentinelSetup,
        processes: Sequence[Process],
        come_back: tuple[RedisServer, str],
        start_process: StartProcess,
    ) -> None:
        """Of those that have seen both, only the first one, or none of them."""
        first, identity = come_back
        assert sentinel_setup.primary is first
        assert identity_of(sentinel_setup, first) == identity  # which does not tell

        writer, idle, other_idle = processes
        assert idle.read() == 1
        assert [read_from_cache(each) for each in (writer, idle, other_idle)] == [1, 1, 1]
        assert read_from_cache(start_process()) == 1


def identity_of(setup: SentinelSetup, server: RedisServer) -> str:
    with closing(setup.admin(server)) as admin:
        return f"{admin.info('server')['run_id']}:{admin.info('replication')['master_replid']}"


def marks_done(process: Process) -> bool:
    invalidations = process.database.invalidations
    assert invalidations is not None
    return not invalidations.records.still_pending()
