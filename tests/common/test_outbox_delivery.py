"""Many messages in a request: refusals, outages, other processes, earlier releases, kills."""

import logging
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, select, update
from sqlalchemy.exc import DataError, OperationalError, ProgrammingError

from common.pyportal_common.db import Transaction
from common.pyportal_common.db.cached_rows import pending_invalidations
from common.pyportal_common.jobs.metrics import WorkerMetrics
from common.pyportal_common.jobs.outbox_delivery import _GATHERING_SECONDS, OutboxDelivery
from common.pyportal_common.testing.raw_servers import RawServer

from .load import ROOT
from .outboxes import Base, Message, Outbox, Receiver
from .waiting import wait_until

Make = Callable[..., Outbox]


@pytest.fixture
def receiver(serve: Callable[..., RawServer]) -> Receiver:
    return Receiver(serve)


@pytest.fixture
def make(sql_url: str, receiver: Receiver) -> Iterator[Make]:
    """Makes the outbox of one more process: make(lease_seconds=0.6)."""
    made: list[Outbox] = []

    def make(**options: Any) -> Outbox:
        made.append(Outbox(sql_url, receiver.url, **options))
        if len(made) == 1:
            Base.metadata.drop_all(made[0].database.engine)
            Base.metadata.create_all(made[0].database.engine)
        return made[-1]

    yield make
    for outbox in made:
        Base.metadata.drop_all(outbox.database.engine)
        outbox.database.close()


@pytest.fixture
def outbox(make: Make) -> Outbox:
    return make()


def add(outbox: Outbox, count: int, **body: Any) -> list[str]:
    """Write messages. Their keys."""
    with outbox.database.begin() as tx:
        messages = [outbox.publish(tx, Message(), {"n": n, **body}) for n in range(count)]
    return [message.key for message in messages]


def states(outbox: Outbox) -> Counter[str]:
    with outbox.database.read() as tx:
        return Counter(tx.scalars(select(Message.status)))


def make_due(outbox: Outbox) -> None:
    """End the pauses before retries, and the leases."""
    with outbox.database.begin() as tx:
        waiting = update(Message).where(Message.due_at.is_not(None))
        tx.execute(waiting.values(due_at=datetime.now(UTC)), execution_options={"cache_keys": ()})


def drain(outbox: Outbox) -> None:
    """Deliver everything that becomes due."""

    def is_drained() -> bool:
        make_due(outbox)
        while outbox.delivery.run_pending():
            pass
        return not states(outbox).keys() & {"pending", "processing"}

    wait_until(is_drained, seconds=20)


class TestBatch:
    def test_many_messages_are_one_request_in_their_order(
        self, outbox: Outbox, receiver: Receiver
    ) -> None:
        keys = add(outbox, 250)

        passes = [outbox.delivery.run_pending() for _ in range(4)]

        assert passes == [True, True, True, False]
        assert receiver.batches == [100, 100, 50]
        assert receiver.keys == keys
        assert [body["n"] for _, _, body in receiver.requests] == list(range(250))
        assert states(outbox) == {"completed": 250}

    def test_a_pass_has_a_few_statements_for_any_number_of_messages(self, outbox: Outbox) -> None:
        add(outbox, 100)
        statements, commits = list[str](), list[int]()
        event.listen(
            outbox.database.engine,
            "before_cursor_execute",
            lambda *given: statements.append(given[2]),
        )
        event.listen(outbox.database.engine, "commit", lambda _: commits.append(1))

        outbox.delivery.run_pending()

        assert len([each for each in statements if each != "BEGIN"]) == 3, statements
        assert len(commits) == 3  # one only reads

    def test_a_refused_message_affects_no_other_and_can_be_resent(
        self, outbox: Outbox, receiver: Receiver, caplog: pytest.LogCaptureFixture
    ) -> None:
        keys = add(outbox, 5)
        receiver.statuses = [202, 422, 202, 400, 202]

        outbox.delivery.run_pending()

        assert states(outbox) == {"completed": 3, "failed": 2}
        failed = outbox.failed()
        assert [message.key for message in failed] == [keys[1], keys[3]]
        assert failed[0].error == "notification answered 422 about data.name"
        assert [message.body["n"] for message in failed] == [1, 3]
        assert f"`flask outbox resend {failed[0].id}`" in caplog.text
        assert outbox.resend_all() == 2
        outbox.delivery.run_pending()
        assert states(outbox) == {"completed": 5}
        assert receiver.keys[5:] == [keys[1], keys[3]]

    def test_one_that_is_to_be_repeated_is_retried_alone(
        self, outbox: Outbox, receiver: Receiver
    ) -> None:
        keys = add(outbox, 4)
        receiver.statuses = [202, 403, 202, 202]

        assert not outbox.delivery.run_pending()
        assert states(outbox) == {"completed": 3, "pending": 1}
        drain(outbox)

        assert receiver.keys == [*keys, keys[1]]

    def test_long_messages_are_sent_in_several_requests(
        self, outbox: Outbox, receiver: Receiver
    ) -> None:
        add(outbox, 6, text="x" * 200_000)

        outbox.delivery.run_pending()

        assert receiver.batches == [2, 2, 2]
        assert states(outbox) == {"completed": 6}

    def test_messages_to_other_paths_and_single_ones_are_requests_of_their_own(
        self, outbox: Outbox, receiver: Receiver
    ) -> None:
        add(outbox, 1)
        outbox.delivery.run_pending()
        with outbox.database.begin() as tx:
            for path in ("/users/7/anonymise", "/users/8/anonymise"):
                outbox.publish(tx, Message(), {}, path=path)
        outbox.delivery.run_pending()

        assert receiver.batches == []
        assert [path for path, _, _ in receiver.requests][1:] == [
            "/users/7/anonymise",
            "/users/8/anonymise",
        ]
        assert states(outbox) == {"completed": 3}

    def test_a_message_to_an_unknown_service_is_refused_when_it_is_written(
        self, outbox: Outbox
    ) -> None:
        with (
            pytest.raises(ValueError, match="weather is not a receiver"),
            outbox.database.begin() as tx,
        ):
            outbox.publish(tx, Message(), {}, service="weather")


class TestEarlierRelease:
    @pytest.mark.parametrize("status", [404, 405, 400, 413, 422])
    def test_messages_are_sent_one_by_one_to_a_service_that_takes_no_batch(
        self, outbox: Outbox, receiver: Receiver, status: int
    ) -> None:
        keys = add(outbox, 5)
        receiver.batch_status = status

        outbox.delivery.run_pending()

        assert states(outbox) == {"completed": 5}
        assert receiver.keys == keys

    def test_it_is_asked_again_after_a_minute(self, outbox: Outbox, receiver: Receiver) -> None:
        receiver.batch_status = 404
        for _ in range(3):
            add(outbox, 3)
            outbox.delivery.run_pending()
        assert receiver.batches == [3]
        receiver.batch_status = 200
        outbox.delivery._receiver._singles_until -= 61
        add(outbox, 3)

        outbox.delivery.run_pending()

        assert receiver.batches == [3, 3]
        assert states(outbox) == {"completed": 12}


class TestOutages:
    def test_a_message_that_is_refused_again_and_again_is_no_outage(
        self, outbox: Outbox, receiver: Receiver, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        add(outbox, 1)
        for _ in range(4):
            add(outbox, 1)
            make_due(outbox)
            outbox.delivery._size = 100
            receiver.statuses = [403, 202]
            outbox.delivery.run_pending()

        assert states(outbox) == {"pending": 1, "completed": 4}
        assert len([each for each in caplog.messages if "will be retried" in each]) == 1
        assert len([each for each in caplog.messages if "delivered again" in each]) == 1

    @pytest.mark.parametrize("status", [401, 403, 409, 429, 500, 502, 503])
    def test_after_a_temporary_error_all_are_retried(
        self, outbox: Outbox, receiver: Receiver, status: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        keys = add(outbox, 20)
        receiver.batch_status = status
        for _ in range(3):
            make_due(outbox)
            outbox.delivery.run_pending()
        assert "completed" not in states(outbox)
        assert len([each for each in caplog.messages if "will be retried" in each]) == 1

        receiver.batch_status = 200
        drain(outbox)

        assert states(outbox) == {"completed": 20}
        assert sorted(receiver.keys) == sorted(keys)

    def test_while_it_is_down_nothing_is_claimed_after_the_first_failure(
        self, make: Make, receiver: Receiver
    ) -> None:
        outbox = make(pause_seconds=60)
        receiver.server.close()
        add(outbox, 200)

        for _ in range(5):
            assert not outbox.delivery.run_pending()

        with outbox.database.read() as tx:
            attempts = Counter(tx.scalars(select(Message.attempts)))
        assert attempts == {1: 100, 0: 100}

    def test_messages_to_a_service_that_hangs_are_retried_with_their_keys(
        self, make: Make, receiver: Receiver
    ) -> None:
        outbox = make(lease_seconds=0.6)
        keys = add(outbox, 3)
        released = threading.Event()
        receiver.before_response = lambda: released.wait(20)

        outbox.delivery.run_pending()

        assert states(outbox) == {"pending": 3}
        wait_until(lambda: receiver.keys == keys)
        receiver.before_response = lambda: None
        released.set()
        drain(outbox)
        assert set(receiver.keys) == set(keys)
        assert states(outbox) == {"completed": 3}

    def test_after_failures_batches_are_smaller_until_the_guilty_message_is_alone(
        self, outbox: Outbox, receiver: Receiver
    ) -> None:
        """A message at which the receiver breaks delays the others, but holds none of them up."""
        keys = add(outbox, 40)
        poison = keys[17]
        take = receiver._take

        def break_at_poison(path: str, headers: dict[str, str], content: Any) -> int:
            return 0 if headers["Idempotency-Key"] == poison else take(path, headers, content)

        receiver._take = break_at_poison  # type: ignore[method-assign]

        def only_poison_is_left() -> bool:
            with outbox.database.begin() as tx:  # those with more attempts are due later
                for message in tx.scalars(select(Message).where(Message.due_at.is_not(None))):
                    later = timedelta(seconds=message.attempts - 3600)
                    message.due_at = datetime.now(UTC) + later
            outbox.delivery.run_pending()
            return states(outbox) == {"completed": 39, "pending": 1}

        wait_until(only_poison_is_left, seconds=20)

    @pytest.mark.parametrize(
        "answer",
        [
            "{}",
            "[]",
            '{"items": [{"status": 202}]}',
            '{"items": [{"status": 202}, {"status": 1e999}]}',
            '{"items": [{"status": 202}, {"status": 422, "details": "name"}]}',
            "[" * 100_000,
            "not json",
        ],
        ids=lambda answer: answer[:60],
    )
    def test_an_answer_that_is_no_result_of_the_batch_ends_no_message(
        self,
        outbox: Outbox,
        receiver: Receiver,
        answer: str,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        add(outbox, 2)
        respond = receiver._respond
        monkeypatch.setattr(
            receiver, "_respond", lambda client, status, _="": respond(client, status, answer)
        )

        outbox.delivery.run_pending()

        assert states(outbox) == {"pending": 2}
        assert [record.exc_info for record in caplog.records] == [None]


class TestProcesses:
    def test_each_message_is_claimed_by_one_of_many(self, make: Make, receiver: Receiver) -> None:
        outboxes = [make() for _ in range(4)]
        keys = add(outboxes[0], 600)

        def deliver(outbox: Outbox) -> None:
            while outbox.delivery.run_pending():
                pass

        threads = [threading.Thread(target=deliver, args=(each,)) for each in outboxes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert sorted(receiver.keys) == sorted(keys)
        assert states(outboxes[0]) == {"completed": 600}

    def test_one_that_has_lost_its_lease_records_nothing(
        self, make: Make, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        slow, other = make(), make()
        keys = add(slow, 2)
        attempt = slow.delivery._attempt

        def be_overtaken(*given: Any) -> Any:
            outcomes = attempt(*given)
            make_due(slow)
            assert other.delivery.run_pending()
            return {key: type(each)("refused", "late") for key, each in outcomes.items()}

        monkeypatch.setattr(slow.delivery, "_attempt", be_overtaken)
        slow.delivery.run_pending()

        assert states(slow) == {"completed": 2}
        assert receiver.keys == keys * 2

    @pytest.mark.parametrize(
        ("error", "is_logged"), [(OperationalError, False), (ProgrammingError, True)]
    )
    def test_an_outage_of_sql_is_logged_by_the_worker_and_not_by_each_thread(
        self,
        outbox: Outbox,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
        error: Any,
        is_logged: bool,
    ) -> None:
        passes = threading.Semaphore(0)

        def fail() -> bool:
            passes.release()
            raise error("SELECT 1", {}, Exception("made for this test"))

        monkeypatch.setattr(outbox.delivery, "run_pending", fail)
        outbox.delivery.start(WorkerMetrics(None))
        for _ in range(5):
            outbox.wake()
            assert passes.acquire(timeout=10)
        outbox.delivery.close(10)

        found = [record for record in caplog.records if record.levelno >= logging.WARNING]
        assert bool(found) == is_logged

    def test_a_paused_outbox_sends_nothing(self, make: Make, receiver: Receiver) -> None:
        paused = {"events"}
        outbox = make(paused=lambda: paused)
        add(outbox, 3)
        assert not outbox.delivery.run_pending()
        assert receiver.requests == []

        paused.clear()
        outbox.delivery.run_pending()

        assert states(outbox) == {"completed": 3}

    def test_a_thread_delivers_when_it_is_woken_and_when_a_look_finds_messages(
        self, outbox: Outbox
    ) -> None:
        delivery = OutboxDelivery(outbox, "notification")
        delivery.start(WorkerMetrics(None))
        add(outbox, 2)
        delivery.look()
        wait_until(lambda: states(outbox) == {"completed": 2})
        add(outbox, 1)
        outbox.wake()
        wait_until(lambda: states(outbox) == {"completed": 3})

        delivery.close(5)
        assert not delivery._thread.is_alive()

    def test_a_close_that_comes_between_two_passes_is_not_missed(self, outbox: Outbox) -> None:
        delivery = OutboxDelivery(outbox, "notification")

        class Wake(threading.Event):
            passes = 0

            def clear(self) -> None:
                self.passes += 1
                if self.passes == 2:  # as `close` does it, in another thread
                    delivery._closing.set()
                    self.set()
                super().clear()

        delivery._wake = Wake()
        delivery.start(WorkerMetrics(None))
        delivery._wake.set()

        delivery._thread.join(20)
        assert not delivery._thread.is_alive()

    def test_a_look_wakes_nobody_when_no_message_is_due(self, outbox: Outbox) -> None:
        add(outbox, 1)
        outbox.delivery.run_pending()

        outbox.delivery.look()

        assert not outbox.delivery._wake.is_set()


class OwnOutbox(Outbox):
    """Handles its own messages, except those that SQL refuses."""

    own_name = "notification"

    def process(self, tx: Transaction, message: Message) -> None:  # noqa: ARG002
        if message.body["n"] == 0:
            raise DataError("UPDATE …", {}, Exception("made for this test"))


def test_a_message_that_sql_refuses_holds_up_no_others(make: Make, sql_url: str) -> None:
    add(make(), 3)
    outbox = OwnOutbox(sql_url, "http://127.0.0.1:9")

    outbox.delivery.run_pending()

    assert states(outbox) == {"pending": 1, "completed": 2}
    outbox.database.close()


POINTS = ["claimed", "posted", "before-commit", "recorded"]


@pytest.mark.parametrize("point", POINTS)
def test_after_a_kill_between_any_two_steps_every_message_arrives_under_its_key(
    make: Make, receiver: Receiver, sql_url: str, point: str
) -> None:
    outbox = make()
    keys = add(outbox, 5)
    command = [sys.executable, "-m", "tests.common.outbox_process", sql_url, receiver.url, point]

    killed = subprocess.run(command, cwd=ROOT, env=os.environ, check=False)

    assert killed.returncode == -signal.SIGKILL
    if point == "recorded":
        assert states(outbox) == {"completed": 5}
    else:
        assert states(outbox) == {"processing": 5}
    drain(outbox)
    assert states(outbox) == {"completed": 5}
    times = {"claimed": 1, "posted": 2, "before-commit": 2, "recorded": 1}[point]
    assert Counter(receiver.keys) == dict.fromkeys(keys, times)


class TestDistance:
    """Under load, messages of many transactions share a pass."""

    def test_a_pass_that_was_not_full_is_followed_after_a_pause(self, outbox: Outbox) -> None:
        add(outbox, 3)

        assert pauses_of(outbox.delivery) == [_GATHERING_SECONDS]
        assert states(outbox) == {"completed": 3}

    def test_a_full_pass_is_followed_at_once(self, outbox: Outbox) -> None:
        add(outbox, 102)

        assert pauses_of(outbox.delivery) == [_GATHERING_SECONDS]
        assert states(outbox) == {"completed": 102}


def pauses_of(delivery: OutboxDelivery) -> list[float | None]:
    """Have the thread's function run until its first pause, and return that."""
    pauses = []

    class Closing(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            pauses.append(timeout)
            self.set()
            return True

    delivery._closing = Closing()
    delivery._run()
    return pauses


def test_messages_that_are_written_together_are_delayed_together(
    outbox: Outbox, receiver: Receiver
) -> None:
    """As those of a transaction whose changes some readers may not see yet."""
    with outbox.database.begin() as tx:
        outbox.publish_all(tx, [(Message(), {"n": n}) for n in range(3)])
        for delay in pending_invalidations(tx).delays:
            delay(60)

    assert not outbox.delivery.run_pending()
    make_due(outbox)
    assert outbox.delivery.run_pending()
    assert [body["n"] for _, _, body in receiver.requests] == [0, 1, 2]
    assert len(set(receiver.keys)) == 3
