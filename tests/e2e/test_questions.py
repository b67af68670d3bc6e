"""The answers on docs/questions.md are what the commands print.

To print them again: PYPORTAL_PRINT_ANSWERS=1 pytest tests/e2e/test_questions.py
"""

import os
import re
from collections.abc import Iterator

import pytest

from ..portal_api import User, wait_until
from .conftest import ROOT, Portal, running_portal

PAGE = ROOT / "docs" / "questions.md"
BLOCK = re.compile(r"```console\n\$ (?P<command>[^\n]+)\n(?P<answer>.*?)```", re.DOTALL)
COMMAND = re.compile(r'make flask service=(\w+) args="([^"]*)"')

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """A portal at a bad hour: see the page."""
    folder = tmp_path_factory.mktemp("portal")
    for running in running_portal(folder, DELIVERY_ATTEMPTS="1"):
        _trouble(running)
        yield running


def _trouble(portal: Portal) -> None:
    assert portal.make("seed").returncode == 0
    wait_until(lambda: len(portal.mails()) == 9)
    _fail_a_mail(portal)
    _leave_a_task_waiting(portal)
    for _ in range(11):
        portal.log_in("bessie", "not-the-password")


def _fail_a_mail(portal: Portal) -> None:
    mails = portal.data_dir / "mail"
    mails.rename(portal.data_dir / "mail-before")
    mails.write_text("not a folder")
    portal.request("POST", "/api/v1/airliner/password/forgot", {"email": "bessie@example.com"})
    wait_until(lambda: _count(portal, "notification", "notifications", "failed") == 1)
    mails.unlink()
    (portal.data_dir / "mail-before").rename(mails)


def _leave_a_task_waiting(portal: Portal) -> None:
    paused = portal.make("flask", service="taskprocessing", args="jobs pause tasks")
    assert paused.returncode == 0, paused.stderr
    amelia = User(portal, "amelia")
    task = {"taskType": "flight_booking", "parameters": {"flightId": 1, "seats": 2}}
    amelia.fetch("POST", "/tasks", task)


def _count(portal: Portal, service: str, table: str, status: str) -> int:
    query = f"SELECT count(*) FROM {table} WHERE status = '{status}'"
    return int(portal.sql(service, query)[0][0])


def test_the_answers_are_those_of_the_commands(portal: Portal) -> None:
    text = PAGE.read_text("utf-8")
    blocks = list(BLOCK.finditer(text))
    answers = [_run(portal, block["command"]) for block in blocks]

    if os.environ.get("PYPORTAL_PRINT_ANSWERS"):
        PAGE.write_text(_with_answers(text, answers), "utf-8")
        return
    assert len(blocks) >= 10
    for block, answer in zip(blocks, answers, strict=True):
        shown, printed = _shape(block["answer"]), _shape(answer)
        assert shown
        assert shown <= printed, block["command"]


def _run(portal: Portal, line: str) -> str:
    """What a line prints, and its exit status unless that is 0."""
    found = COMMAND.fullmatch(line)
    assert found is not None, line
    done = portal.make("flask", service=found[1], args=found[2])
    status = f"(exit status {done.returncode})\n" if done.returncode else ""
    # make itself fails with 2, whatever the command has returned
    lines = [each.rstrip() for each in f"{done.stdout}{status}".strip().splitlines()]
    return "\n".join(lines) + "\n"


def _with_answers(text: str, answers: list[str]) -> str:
    printed = iter(answers)
    return BLOCK.sub(lambda block: f"```console\n$ {block['command']}\n{next(printed)}```", text)


def _shape(answer: str) -> set[str]:
    """Its lines, without numbers, and without the width of columns."""
    lines = (re.sub(r"[0-9a-f]*\d[0-9a-f.]*", "0", line) for line in answer.splitlines())
    return {re.sub(r"[\s─]+", " ", line).strip() for line in lines} - {""}
