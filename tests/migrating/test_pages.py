"""The pages in docs/migrating: their blocks run on both sides, and their tables are complete."""

import re
import subprocess
import sys

import pytest

from common.pyportal_common.redis_server import RedisServer
from common.pyportal_common.testing.documents import Block, blocks_of
from examples import lines
from tests.examples.programs import ROOT, python_of, run, run_text
from tests.semantics.behaviours import ALL, MISSING, SAME

PAGES = ROOT / "docs" / "migrating"
BEHAVIOURS = {
    "flask-caching": "caching",
    "flask-limiter": "limits",
    "flask-session": "sessions",
    "cashews-dogpile": "others",
}
BRIDGE = "the bridge"

MOVE_A_USER = """
old_client = client
{bridge}

@app.get("/me")
def me():
    return {{"user": portal.user_id, "basket": session.get("basket")}}

client = app.test_client()
client.set_cookie("session", old_client.get_cookie("session").value)
assert client.get("/me").json == {{"user": 7, "basket": ["lamp"]}}
assert client.get("/me").json == {{"user": 7, "basket": ["lamp"]}}

thief = app.test_client()
thief.set_cookie("session", old_client.get_cookie("session").value)
assert thief.get("/me").json == {{"user": None, "basket": None}}
"""


@pytest.mark.slow
@pytest.mark.parametrize("page", BEHAVIOURS)
def test_their_blocks_run(page: str, redis_server: RedisServer) -> None:
    blocks = [block.code for block in titled_blocks(page) if block.title != BRIDGE]

    assert blocks
    run_text("peers", "\n".join(blocks), redis=redis_server)


@pytest.mark.slow
def test_the_bridge_takes_a_session_over_once(redis_server: RedisServer) -> None:
    blocks = titled_blocks("flask-session")
    theirs = "\n".join(block.code for block in blocks if block.title != BRIDGE)
    (bridge,) = (block.code for block in blocks if block.title == BRIDGE)

    run_text("peers", theirs + MOVE_A_USER.format(bridge=bridge), redis=redis_server)


def titled_blocks(page: str) -> list[Block]:
    """The blocks for the environment of the peers, which have titles."""
    return [block for block in blocks_of(PAGES / f"{page}.md") if block.title]


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in BEHAVIOURS if page.startswith("flask")])
def test_a_page_names_every_setting_method_and_parameter(
    page: str, redis_server: RedisServer
) -> None:
    names: dict[str, list[str]] = run("peers", "tests.migrating.names", redis=redis_server)
    text = (PAGES / f"{page}.md").read_text("utf-8").partition("## Setting by setting")[2]
    code = " ".join(re.findall(r"`([^`\n]+)`", text))

    assert len(names[page]) > 20
    assert [name for name in names[page] if not re.search(rf"\b{name}\b", code)] == []


@pytest.mark.parametrize("page", BEHAVIOURS)
def test_a_page_lists_what_differs_and_what_is_missing(page: str) -> None:
    text = (PAGES / f"{page}.md").read_text("utf-8")
    section = text.partition("hat behaves differently")[2].partition("\n## ")[0]
    differs, _, missing = section.partition("\nMissing:")
    behaviours = ALL[BEHAVIOURS[page]]

    assert named_in(differs) == [
        name for name, each in behaviours.items() if each.ours not in (SAME, MISSING)
    ]
    assert named_in(missing) == [name for name, each in behaviours.items() if each.ours is MISSING]


def named_in(text: str) -> list[str]:
    """The behaviours that begin the rows of a table."""
    return re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)


def test_the_table_of_lines_is_current() -> None:
    assert table_after("python -m examples.lines") == lines.table()


@pytest.mark.slow
def test_outages_and_races_end_as_the_table_says() -> None:
    python_of("peers")
    printed = subprocess.run(
        [sys.executable, "-m", "examples.faults"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=400,
    ).stdout.strip()

    assert without_figures(printed) == without_figures(table_after("python -m examples.faults"))
    rows = {row.split("|")[1].strip(): row.split("|")[2:5] for row in printed.splitlines()[2:]}
    assert [figure(cell) > 0.4 for cell in rows["Redis hangs: a cached page"]] == [
        True,
        True,
        False,
    ]
    assert [figure(cell) > 1 for cell in rows["32 requests miss the cache together"]] == [
        True,
        True,
        False,
    ]
    (admitted,) = (cells for row, cells in rows.items() if "64 requests" in row)
    assert [figure(cell) > 20 for cell in admitted] == [True, False, False]


def table_after(comment: str) -> str:
    """The table that follows a comment on the index page."""
    text = (PAGES / "index.md").read_text("utf-8")
    return text.partition(f"<!-- {comment} -->\n")[2].partition("\n<!-- end -->")[0]


def without_figures(table: str) -> str:
    """A table without what differs from run to run: seconds, and how many of several."""
    return re.sub(r"[\d.]+ (s|admitted|load)\b", r"N \1", table.replace("loads", "load"))


def figure(cell: str) -> float:
    """The last seconds in a cell, else its number."""
    return float((re.findall(r"([\d.]+) s\b", cell) or re.findall(r"\d+", cell))[-1])
