"""Outbox messages on their way to another service."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import event, select

from common.pyportal_common.commands.outbox import outbox_commands
from common.pyportal_common.db import Audit, batches
from common.pyportal_common.jobs import JobsMonitor
from common.pyportal_common.jobs.heartbeats import WORKERS
from common.pyportal_common.testing.kit import wait_until_blocked
from common.pyportal_common.testing.raw_servers import RawServer

from .outboxes import RESPONSE_BODY, TOKEN, Base, Message, Outbox, Receiver


@pytest.fixture
def receiver(serve: Callable[..., RawServer]) -> Receiver:
    return Receiver(serve)


@pytest.fixture
def make_outbox(sql_url: str, receiver: Receiver) -> Iterator[Callable[[float], Outbox]]:
    made: list[Outbox] = []

    def make(pause_seconds: float) -> Outbox:
        made.append(Outbox(sql_url, receiver.url, pause_seconds=pause_seconds))
        Base.metadata.drop_all(made[-1].database.engine)
        Base.metadata.create_all(made[-1].database.engine)
        return made[-1]

    yield make
    for outbox in made:
        Base.metadata.drop_all(outbox.database.engine)
        outbox.database.close()


@pytest.fixture
def outbox(make_outbox: Callable[[float], Outbox]) -> Outbox:
    return make_outbox(0)


def test_it_is_posted_once_with_its_key_and_the_token(outbox: Outbox, receiver: Receiver) -> None:
    message_id = outbox.add(template="welcome")

    outbox.work(message_id)
    message = outbox.work(message_id)

    [(path, headers, body)] = receiver.requests
    assert path == "/api/v1/airliner/notifications"
    assert body == {"template": "welcome"}
    assert headers["X-Service-Token"] == TOKEN
    assert headers["Idempotency-Key"] == message.key
    assert (message.status, message.body) == ("completed", {})


def test_a_message_of_a_rolled_back_transaction_does_not_exist(outbox: Outbox) -> None:
    with pytest.raises(ZeroDivisionError), outbox.database.begin() as tx:  # noqa: PT012
        outbox.publish(tx, Message(), {})
        raise ZeroDivisionError

    assert outbox.ids() == []


def test_after_a_lost_response_it_is_posted_again_with_the_same_key(
    outbox: Outbox, receiver: Receiver
) -> None:
    message_id = outbox.add(template="welcome")
    receiver.statuses = [0]

    assert outbox.work(message_id).status == "pending"
    with outbox.database.begin() as tx:  # end the pause before the next attempt
        message = tx.get_one(Message, message_id)
        message.due_at = message.created_at

    assert outbox.work(message_id).status == "completed"
    first, second = receiver.requests
    assert first[1]["Idempotency-Key"] == second[1]["Idempotency-Key"]
    assert first[2] == second[2]


@pytest.mark.parametrize("status", [401, 403, 404, 408, 409, 425, 429, 500, 502, 503])
def test_after_a_temporary_error_it_is_retried(
    outbox: Outbox, receiver: Receiver, status: int
) -> None:
    receiver.statuses = [status]

    message = outbox.work(outbox.add())

    assert (message.status, message.error) == ("pending", f"notification answered {status}")
    assert message.due_at is not None


@pytest.mark.parametrize("status", [400, 405, 413, 422])
def test_after_a_permanent_error_it_has_failed_and_that_is_logged(
    outbox: Outbox, receiver: Receiver, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.statuses = [status]

    assert outbox.work(outbox.add()).status == "failed"

    assert f"notification answered {status}" in caplog.text
    assert RESPONSE_BODY not in caplog.text


def test_while_the_receiver_is_down_it_waits(outbox: Outbox, receiver: Receiver) -> None:
    receiver.server.close()

    message = outbox.work(outbox.add())

    assert message.status == "pending"
    assert message.error is not None
    assert message.error.startswith("notification: ")
    assert message.body == {}


def test_while_the_circuit_is_open_it_waits_without_an_attempt(
    make_outbox: Callable[[float], Outbox], receiver: Receiver
) -> None:
    outbox = make_outbox(60)
    receiver.statuses = [0]

    first, second = (outbox.work(outbox.add()) for _ in range(2))

    assert len(receiver.requests) == 1
    assert (first.attempts, second.attempts) == (1, 0)
    assert second.status == "pending"


def test_old_messages_that_have_ended_are_deleted(outbox: Outbox) -> None:
    outbox.work(outbox.add())
    waiting = outbox.add()
    with outbox.database.begin() as tx:
        for message in tx.scalars(select(Message)):
            if message.finished_at is not None:
                message.finished_at = message.finished_at.replace(year=2001)
            message.created_at = message.created_at.replace(year=2001)

    outbox.delete_old()

    assert outbox.ids() == [waiting]


def test_an_old_message_is_kept_that_is_resent_meanwhile(
    outbox: Outbox, receiver: Receiver, sql_kind: str
) -> None:
    if sql_kind == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    receiver.statuses = [400]
    outbox.work(outbox.add())
    ended_days_ago(outbox, 31)

    with ThreadPoolExecutor() as pool:
        with outbox.database.begin() as tx:
            outbox.restart(tx.scalars(select(Message).with_for_update()).one())
            tx.flush()
            deletion = pool.submit(outbox.delete_old)
            wait_until_blocked(outbox.database)
        deletion.result()

    assert len(outbox.ids()) == 1


def ended_days_ago(outbox: Outbox, days: int) -> None:
    """All messages that have ended did so some days ago."""
    with outbox.database.begin() as tx:
        for message in tx.scalars(select(Message).where(Message.finished_at.is_not(None))):
            message.finished_at = datetime.now(UTC) - timedelta(days=days)


class TestRefused:
    @pytest.fixture
    def refused(self, outbox: Outbox, receiver: Receiver) -> list[int]:
        """The ids of three messages that the receiver has refused."""
        receiver.statuses = [422, 400, 422]
        return [outbox.work(outbox.add(template="welcome", data="secret")).id for _ in range(3)]

    @pytest.fixture
    def command(self, outbox: Outbox) -> Callable[..., Result]:
        """Runs a command about the outbox: command("list")."""
        runner = CliRunner()
        return lambda *words: runner.invoke(outbox_commands(outbox.operations), words)

    @pytest.fixture
    def monitor(self, outbox: Outbox) -> Iterator[Callable[[], JobsMonitor]]:
        """Makes a monitor that has nothing cached."""
        WORKERS.drop(outbox.database.engine, checkfirst=True)
        WORKERS.create(outbox.database.engine)
        yield lambda: JobsMonitor(outbox.database, [outbox], silent_seconds=15, late_seconds=60)
        WORKERS.drop(outbox.database.engine)

    @pytest.mark.usefixtures("refused")
    def test_they_are_counted_by_service_until_they_are_resent(
        self, outbox: Outbox, monitor: Callable[[], JobsMonitor]
    ) -> None:
        outbox.work(outbox.add())  # this one is accepted

        assert monitor().states()["messages"] == "refused"
        assert monitor().report().failed_messages == {"notification": 3}

        outbox.resend_all()

        assert monitor().states()["messages"] == "ok"
        assert monitor().report().failed_messages == {}

    def test_the_log_names_the_command_that_resends_one(
        self, refused: list[int], caplog: pytest.LogCaptureFixture
    ) -> None:
        lines = [record.getMessage() for record in caplog.get_records("setup")]
        for message_id in refused:
            assert any(f"`flask outbox resend {message_id}`" in line for line in lines)

    def test_the_list_has_no_content(
        self, refused: list[int], command: Callable[..., Result]
    ) -> None:
        listed = command("list")

        lines = [line for line in listed.output.splitlines() if "notification answered 4" in line]
        assert [line.split()[0] for line in lines] == [str(each) for each in reversed(refused)]
        assert all(" welcome " in line for line in lines)
        assert "secret" not in listed.output

    def test_one_that_is_resent_arrives_with_its_key(
        self, outbox: Outbox, receiver: Receiver, refused: list[int], command: Callable[..., Result]
    ) -> None:
        resent = command("resend", "--yes", str(refused[1]))

        assert (resent.exit_code, resent.output) == (0, "1 failed message sent again\n")
        assert outbox.work(refused[1]).status == "completed"
        assert [outbox.work(each).status for each in refused] == ["failed", "completed", "failed"]
        first, last = receiver.requests[1], receiver.requests[-1]
        assert first[1]["Idempotency-Key"] == last[1]["Idempotency-Key"]
        assert first[2] == last[2]

    def test_some_are_chosen_by_their_error_and_time(
        self, outbox: Outbox, refused: list[int], command: Callable[..., Result]
    ) -> None:
        by_error = ("--error", "answered 422", "--since", "1h")
        assert (
            command("resend", "--yes", "--until", "1h").output == "0 failed messages sent again\n"
        )
        listed = command("list", *by_error).output
        assert (listed.count("422"), listed.count("400")) == (2, 0)

        assert command("resend", "--yes", *by_error).output == "2 failed messages sent again\n"

        assert [outbox.work(each).status for each in refused] == [
            "completed",
            "failed",
            "completed",
        ]

    @pytest.mark.parametrize("words", [("--error", " "), ("--since", "noon"), ("--until", "")])
    def test_what_does_not_narrow_it_down_is_refused(
        self, command: Callable[..., Result], words: tuple[str, str]
    ) -> None:
        for verb in (["list"], ["resend", "--yes"], ["discard", "--yes"]):
            assert command(*verb, *words).exit_code == 2

    def test_all_can_be_resent(
        self, outbox: Outbox, refused: list[int], command: Callable[..., Result]
    ) -> None:
        assert command("resend", "--all", "--yes").output == "3 failed messages sent again\n"

        assert {outbox.work(each).status for each in refused} == {"completed"}

    def test_all_are_resent_once_even_if_they_fail_again_at_once(
        self,
        outbox: Outbox,
        receiver: Receiver,
        refused: list[int],
        command: Callable[..., Result],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(outbox, "wake_workers", lambda: outbox.work(refused[0]))
        monkeypatch.setattr("common.pyportal_common.operations.bulk._BATCH", 2)
        receiver.statuses = [422] * len(refused)

        assert command("resend", "--all", "--yes").output == "3 failed messages sent again\n"
        assert [message.id for message in outbox.failed()] == refused

    def test_one_that_is_discarded_has_no_content_any_more(
        self, outbox: Outbox, refused: list[int], command: Callable[..., Result]
    ) -> None:
        assert command("discard", "--yes", *map(str, refused[:2])).exit_code == 0

        assert [message.id for message in outbox.failed()] == refused[2:]
        assert outbox.work(refused[0]).body == {}
        assert outbox.work(refused[0]).status == "cancelled"

    def test_messages_that_have_not_failed_are_left_alone(
        self, outbox: Outbox, command: Callable[..., Result]
    ) -> None:
        waiting, sent = outbox.add(), outbox.add()
        outbox.work(sent)

        for name in ("resend", "discard"):
            refused = command(name, str(waiting), str(sent), "999")
            assert refused.exit_code == 1
            assert "have not failed" in refused.output
            for words in ([], ["1", "--all"]):
                refused = command(name, *words)
                assert refused.exit_code == 2
                assert "either which ones, or --all, not both" in refused.output

        assert outbox.work(waiting).status == "completed"

    @pytest.mark.usefixtures("refused")
    def test_the_number_is_asked_about_and_what_was_done_is_recorded(
        self, outbox: Outbox, command: Callable[..., Result]
    ) -> None:
        asked = command("discard", "--all")  # and no answer

        assert (asked.exit_code, len(outbox.failed())) == (1, 3)
        assert "Discard 3 failed messages? [y/N]" in asked.output
        dry_run = command("discard", "--all", "--dry-run")
        assert dry_run.output == "Would discard 3 failed messages\n"
        assert Audit(outbox.database).page().items == []

        command("discard", "--service", "notification", "--yes", "--by", "jane")

        [entry] = Audit(outbox.database).page().items
        assert (entry.actor, entry.action, entry.count) == ("jane", "outbox discard", 3)
        assert entry.filter == {"service": "notification"}
        assert outbox.failed() == []

    def test_they_are_kept_for_a_month(self, outbox: Outbox, refused: list[int]) -> None:
        sent = outbox.add()
        outbox.work(sent)

        ended_days_ago(outbox, 8)
        outbox.delete_old()
        assert outbox.ids() == refused

        ended_days_ago(outbox, 31)
        outbox.delete_old()
        assert outbox.ids() == []


def test_old_messages_are_deleted_in_short_transactions(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(7):
        outbox.work(outbox.add())
    ended_days_ago(outbox, 8)
    left: list[int] = []
    monkeypatch.setattr(batches, "_PAUSE_SECONDS", 0)
    old = Message.finished_at < datetime.now(UTC)
    event.listen(outbox.database.engine, "commit", lambda _: left.append(1))

    deleted = batches.delete_in_batches(outbox.database, Message, old, rows=3)

    assert (deleted, len(left), outbox.ids()) == (7, 3, [])


def test_another_writer_gets_in_between_two_batches(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(4):
        outbox.work(outbox.add())
    ended_days_ago(outbox, 8)
    written: list[int] = []
    monkeypatch.setattr(
        "common.pyportal_common.db.batches.time.sleep", lambda _: written.append(outbox.add())
    )

    old = Message.finished_at < datetime.now(UTC)
    assert batches.delete_in_batches(outbox.database, Message, old, rows=2) == 4

    assert outbox.ids() == written


def test_one_call_deletes_for_half_a_minute_and_leaves_the_rest_to_the_next(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        outbox.work(outbox.add())
    monkeypatch.setattr(batches, "_LONGEST_SECONDS", 0.0)

    old = Message.finished_at < datetime.now(UTC)
    calls = [batches.delete_in_batches(outbox.database, Message, old, rows=2) for _ in range(3)]
    assert calls == [2, 2, 1]
