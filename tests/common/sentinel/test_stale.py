"""No read that starts after a writer's answer returns an older value, through failovers."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import delete
from sqlalchemy.exc import OperationalError

from common.pyportal_common.cache_handlers import MASTER_KNOWN_FOR_SECONDS, RedisLayerError
from common.pyportal_common.cache_handlers.client import sentinel_queries
from common.pyportal_common.db.cached_rows import PendingInvalidations
from common.pyportal_common.db.records import RECORDS
from common.pyportal_common.db.replays import LONGEST_REMOVAL_SECONDS
from common.pyportal_common.redis_server import RedisServer
from common.pyportal_common.testing.sentinel import SentinelSetup

from ..caching_process import Process
from ..items import change, create_tables, value_of
from ..load import Connect
from ..waiting import wait_until
from .conftest import StartProcess

LONG = 120.0  # seconds
SETTLE = MASTER_KNOWN_FOR_SECONDS + LONGEST_REMOVAL_SECONDS

# Too many writers wait, or SQLite is locked for longer than a writer waits: nothing was written.
NO_ANSWER = (RedisLayerError, OperationalError)

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sentinel that gets no processor for a while has not failed in these tests."""
    monkeypatch.setattr(sentinel_queries, "ASK_SECONDS", 10.0)


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
    old.kill()
    setup.wait_for_primary(other_than=old)
    old.start()
    setup.wait_until_whole()


def frozen_and_thawed(setup: SentinelSetup) -> None:
    old = setup.primary
    old.pause()
    setup.wait_for_primary(other_than=old)
    old.resume()
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
    """The second one has received an invalidation, and the first one has the old value.

    Its writer is gone. Usually the first master was not told that it was replaced, so that neither
    its run id nor its replication id is another one.
    """

    @pytest.fixture
    def idle(self, start_process: StartProcess) -> Process:
        """A process that has only seen the first master."""
        process = start_process()
        wait_until(lambda: caches(process, 0), seconds=LONG)
        return process

    @pytest.fixture(autouse=True)
    def _come_back(
        self,
        sentinel_setup: SentinelSetup,
        start_process: StartProcess,
        idle: Process,  # noqa: ARG002  has cached the old value
    ) -> None:
        """Replace the master, write, and have it take its place again."""
        first, rest = sentinel_setup.primary, sentinel_setup.replicas
        wait_until(lambda: {value_in(sentinel_setup, each) for each in rest} == {"0"}, seconds=LONG)
        first.pause()
        second = sentinel_setup.wait_for_primary(other_than=first)
        writer = start_process()
        wait_until(lambda: is_told(writer, 1), seconds=LONG)
        writer.database.close()

        for server in rest:
            server.kill()
        first.resume()
        assert value_in(sentinel_setup, first) == "0"
        assert sentinel_setup.wait_for_primary(other_than=second) is first
        for server in rest:
            server.start()
        sentinel_setup.wait_until_whole()

    def test_a_process_that_has_only_seen_the_first_one_does_not_use_the_old_value(
        self, idle: Process
    ) -> None:
        assert idle.read() == 1
        assert read_from_cache(idle) == 1

    def test_nor_does_a_process_that_has_seen_none_of_them(
        self, start_process: StartProcess
    ) -> None:
        process = start_process()

        assert process.read() == 1
        assert read_from_cache(process) == 1


class TestFormerMasterThatIsStillUsed:
    """The sentinels have replaced it, and tell it some seconds later."""

    @pytest.fixture
    def late(self, start_process: StartProcess, monkeypatch: pytest.MonkeyPatch) -> Process:
        """A process that does not notice."""
        late = start_process()
        wait_until(lambda: caches(late, 0), seconds=LONG)
        monkeypatch.setattr(late.client.master, "confirm", lambda: None)
        return late

    @pytest.fixture
    def reader(
        self,
        sentinel_setup: SentinelSetup,
        start_process: StartProcess,
        late: Process,  # noqa: ARG002  has cached the old value
    ) -> Process:
        """A process that uses the new master, which has the old value."""
        reader = start_process()
        assert read_from_cache(reader) == 0
        with reader.database.engine.begin() as connection:
            connection.execute(delete(RECORDS))  # that of a minute ago
        sentinel_setup.wait_until_replicated()
        former = sentinel_setup.primary
        with closing(sentinel_setup.admin(former)) as admin:
            admin.config_set("min-replicas-to-write", 0)
        new = sentinel_setup.fail_over()
        wait_until(lambda: has_found_another(reader), seconds=LONG)
        assert value_in(sentinel_setup, new) == "0"
        return reader

    def test_an_invalidation_that_it_acknowledges_is_repeated_in_the_new_one(
        self, late: Process, reader: Process
    ) -> None:
        assert reader.read() == 0

        change(late.database, value=1)

        assert reader.read() == 1
        wait_until(lambda: marks_done(late), seconds=LONG)
        assert read_from_cache(reader) == 1

    @pytest.mark.parametrize("has_marker", [True, False])
    def test_a_writer_that_uses_the_new_one_waits_until_nobody_uses_it(
        self, sentinel_setup: SentinelSetup, start_process: StartProcess, has_marker: bool
    ) -> None:
        """A replica that was far behind has not even received the marker."""
        writer = start_process()
        wait_until(lambda: caches(writer, 0), seconds=LONG)
        assert writer.client.master is not None
        found: list[float] = []
        writer.client.master.on_move(lambda: found.append(time.monotonic()))
        if not has_marker:
            writer.client.delete("cache:marker")
        sentinel_setup.wait_until_replicated()
        sentinel_setup.fail_over()

        wait_until(lambda: is_told(writer, 1), seconds=LONG)

        assert time.monotonic() - found[0] >= SETTLE

    def test_so_does_one_that_starts_then(
        self, sentinel_setup: SentinelSetup, start_process: StartProcess
    ) -> None:
        """It finds no marker, and has not used another server itself."""
        first = start_process()
        wait_until(lambda: caches(first, 0), seconds=LONG)
        first.client.delete("cache:marker")
        first.database.close()
        sentinel_setup.wait_until_replicated()
        sentinel_setup.fail_over()

        began = time.monotonic()
        writer = start_process()
        wait_until(lambda: is_told(writer, 1), seconds=LONG)

        assert time.monotonic() - began >= SETTLE


def test_a_record_that_another_process_has_done_does_not_end_the_wait(
    sentinel_setup: SentinelSetup, connect: Connect, tmp_path: Path
) -> None:
    """It may have done it in a server that was replaced."""
    process = Process(
        connect(sentinel_setup), f"sqlite:///{tmp_path / 'items.sqlite3'}", trust_seconds=5.0
    )
    create_tables(process.database)
    with process.database.engine.begin() as connection:
        assert process.database.invalidations is not None
        process.database.invalidations.record(connection, PendingInvalidations({"item:1"}))

    began = time.monotonic()
    process.database.await_invalidations()

    assert time.monotonic() - began >= 5.0
    assert marks_done(process)
    process.database.close()


def has_found_another(process: Process) -> bool:
    """Use Redis, and return whether this process has found two servers."""
    process.client.ping()
    return process.client.servers_seen == 2


def value_in(setup: SentinelSetup, server: RedisServer) -> object:
    """The cached value of the item in a server."""
    with closing(setup.admin(server)) as admin:
        return admin.get("item:1")


def is_told(writer: Process, value: int) -> bool:
    """Whether Redis has acknowledged the invalidation of a change to this value."""
    if writer.client.breaker.is_open or not writer.client.ping():
        return False
    change(writer.database, value=value)
    wait_until(lambda: marks_done(writer), seconds=LONG)
    return True


def marks_done(process: Process) -> bool:
    invalidations = process.database.invalidations
    assert invalidations is not None
    return not invalidations.records.still_pending()
