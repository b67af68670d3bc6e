"""The answers on docs/questions.md are what the commands print.

To print them again: PYPORTAL_PRINT_ANSWERS=1 pytest tests/e2e/test_questions.py
"""

import os
import re
import time
from collections.abc import Iterator

import pytest

from common.pyportal_common.redis_server import free_port

from ..portal_api import User, wait_until
from .conftest import ROOT, Portal, running_portal

PAGE = ROOT / "docs" / "questions.md"
BLOCK = re.compile(r"```console\n\$ (?P<command>[^\n]+)\n(?P<answer>.*?)```", re.DOTALL)
COMMAND = re.compile(r'make flask service=(\w+) args="([^"]*)"')
MAILS = 9  # that the mail server should have got

# Times, addresses, versions and measurements; ids of sessions and requests; large numbers.
VARYING = re.compile(r"\d+(?:[.:-]\d+)+|[0-9a-f]{16,}|\d{3,}|\d+%")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """A portal at a bad hour: see the page."""
    folder = tmp_path_factory.mktemp("portal")
    mail_server = {"SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(free_port())}  # nobody listens there
    names = ("LOGIN", "REGISTER", "TASKS")
    windows = {f"RATE_LIMIT_{name}": "10/600" for name in names}  # longer than the test
    for running in running_portal(folder, DELIVERY_ATTEMPTS="1", **windows, **mail_server):
        _trouble(running)
        yield running


def _trouble(portal: Portal) -> None:
    assert portal.make("seed").returncode == 0
    _leave_a_task_waiting(portal)
    for _ in range(11):
        portal.log_in("bessie", "not-the-password")
    wait_until(lambda: _failed_mails(portal) == MAILS, seconds=120)


def _leave_a_task_waiting(portal: Portal) -> None:
    paused = portal.make("flask", service="taskprocessing", args="jobs pause tasks")
    assert paused.returncode == 0, paused.stderr
    time.sleep(2)  # a worker may start tasks for a second after the pause
    amelia = User(portal, "amelia")
    task = {"taskType": "flight_booking", "parameters": {"flightId": 1, "seats": 2}}
    amelia.fetch("POST", "/tasks", task)


def _failed_mails(portal: Portal) -> int:
    query = "SELECT count(*) FROM notifications WHERE status = 'failed'"
    return int(portal.sql("notification", query)[0][0])


def test_the_answers_are_those_of_the_commands(portal: Portal) -> None:
    text = PAGE.read_text("utf-8")
    blocks = list(BLOCK.finditer(text))
    answers = [_run(portal, block["command"]) for block in blocks]

    if os.environ.get("PYPORTAL_PRINT_ANSWERS"):
        PAGE.write_text(_with_answers(text, answers), "utf-8")
        return
    assert len(blocks) >= 10
    for block, answer in zip(blocks, answers, strict=True):
        shown, printed = _lines(block["answer"]), _lines(answer)
        if "cache stats" in block["command"]:  # what it has counted varies, and orders the lines
            assert _kinds(shown) <= _kinds(printed)
        else:
            assert printed == shown, block["command"]


def _run(portal: Portal, line: str) -> str:
    """What a line prints."""
    found = COMMAND.fullmatch(line)
    assert found is not None, line
    done = portal.make("flask", service=found[1], args=found[2])
    return "".join(f"{each.rstrip()}\n" for each in done.stdout.strip().splitlines())


def _with_answers(text: str, answers: list[str]) -> str:
    printed = iter(answers)
    return BLOCK.sub(lambda block: f"```console\n$ {block['command']}\n{next(printed)}```", text)


def _lines(answer: str) -> list[str]:
    """Its lines, without what varies, and without the width of columns."""
    lines = (VARYING.sub("0", line) for line in answer.splitlines())
    return [re.sub(r"[\s─]+", " ", line).strip() for line in lines]


def _kinds(lines: list[str]) -> set[str]:
    return {line.partition(" ")[0] for line in lines}
