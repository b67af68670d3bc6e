"""The terminal of `make run` shows what is appended to log files, whatever is done to them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.log_view import LogView

from ..portal_api import wait_until


class Terminal:
    """The output of a LogView on one log file."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.log = folder / "redis.log"
        self._capsys = capsys
        self._shown = ""

    def append(self, line: str) -> None:
        """Append a line to the log, as supervisor does."""
        with self.log.open("a") as log:
            log.write(f"{line}\n")

    def shows(self, line: str) -> bool:
        """Wait until the line is shown."""

        def is_shown() -> bool:
            self._shown += self._capsys.readouterr().out
            return f"| {line}\n" in self._shown

        wait_until(is_shown, seconds=5)
        return True

    def text(self) -> str:
        """All that has been shown."""
        return self._shown + self._capsys.readouterr().out


@pytest.fixture
def terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path, capsys)
    with LogView(tmp_path, ["redis"]):
        terminal.append("first")
        assert terminal.shows("first")
        yield terminal


def test_a_truncated_log_is_followed(terminal: Terminal) -> None:
    terminal.log.write_bytes(b"")
    terminal.append("next")

    assert terminal.shows("next")
    assert terminal.text().count("first") == 1


def test_a_rotated_log_is_followed(terminal: Terminal) -> None:
    terminal.append("last of the old file")
    terminal.log.rename(terminal.log.with_suffix(".1"))
    terminal.append("first of the new file")

    assert terminal.shows("last of the old file")
    assert terminal.shows("first of the new file")


def test_a_moved_log_is_followed_while_its_writer_keeps_it_open(terminal: Terminal) -> None:
    with terminal.log.open("a") as writer:
        terminal.log.rename(terminal.log.with_suffix(".1"))
        terminal.log.touch()  # as logrotate's `create` does
        writer.write("still here\n")
        writer.flush()

        assert terminal.shows("still here")


def test_a_removed_log_is_followed_once_it_is_back(terminal: Terminal) -> None:
    terminal.log.unlink()
    terminal.append("back")

    assert terminal.shows("back")


def test_a_folder_in_place_of_a_log_does_not_end_the_view(tmp_path: Path) -> None:
    (tmp_path / "redis.log").mkdir()

    with LogView(tmp_path, ["redis"]):
        pass


def test_supervisor_shows_its_warnings_only(terminal: Terminal) -> None:
    with (terminal.log.parent / "supervisord.log").open("a") as log:
        log.write("2026-11-26 00:12:50,391 INFO spawned: 'redis' with pid 1\n")
        log.write("2026-11-26 00:12:50,391 WARN killing 'redis' (1) with SIGKILL\n")

    assert terminal.shows("2026-11-26 00:12:50,391 WARN killing 'redis' (1) with SIGKILL")
    assert "spawned" not in terminal.text()
