"""Every benchmark runs to its end and reports figures. How large they are is not tested."""

import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from itertools import repeat
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmarks import cases, results
from benchmarks.__main__ import BENCHMARKS
from benchmarks.load import load, request
from benchmarks.plot import bar_chart
from benchmarks.processes import usage_of_tree
from benchmarks.servers import PEERS
from benchmarks.tables import Aim, Table, spread
from common.pyportal_common.testing.plugin import missing
from common.pyportal_common.testing.postgres import postgres_binaries

ROOT = Path(__file__).parent.parent
NEEDS_POSTGRES = {"costs", "replicas"}
PEER_OF = {"reads": "the extensions", "tasks": "Dramatiq"}
SPREAD = re.compile(r"([\d.]+) \(([\d.]+)-([\d.]+)\)")


@pytest.mark.slow
@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_benchmark_reports_figures_in_its_short_form(name: str) -> None:
    if name in NEEDS_POSTGRES and postgres_binaries() is None:
        missing("PostgreSQL")

    run = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--short", name],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )

    assert run.returncode == 0, run.stdout + run.stderr
    tables = tables_of(run.stdout)
    assert tables
    assert all(len(table) > 1 for table in tables)  # rows below the title
    cells = [cell for table in tables for row in table[1:] for cell in row[1:]]
    figures = [cell for cell in cells if cell not in {"met", "missed", "-"}]
    assert figures
    assert [cell for cell in figures if not is_figure(cell)] == [], run.stdout
    if peer := PEER_OF.get(name):
        if not PEERS.is_dir():
            missing("the packages of requirements/peers.txt, which make verify installs")
        assert peer in run.stdout


def tables_of(markdown: str) -> list[list[list[str]]]:
    """The cells of the rows of every table, without the line below its title."""
    blocks = (block.splitlines() for block in markdown.split("\n\n") if block.startswith("|"))
    rows = [[line.strip("|").split("|") for line in block] for block in blocks]
    return [[[cell.strip() for cell in row] for row in [t[0], *t[2:]]] for t in rows]


def is_figure(cell: str) -> bool:
    """Whether a cell is a number, a bound, or a median between the least and the greatest."""
    if found := SPREAD.fullmatch(cell):
        middle, least, most = map(float, found.groups())
        return 0 <= least <= middle <= most
    return re.fullmatch(r"[≤≥]? ?\d+(\.\d+)?", cell) is not None


def test_every_benchmark_is_registered_and_has_a_place_in_the_readme() -> None:
    modules = {file.stem for file in Path(cases.__path__[0]).glob("[!_]*.py")}
    places = re.findall(r"<!-- figures: (\w+) -->\n.*?<!-- end: \1 -->", readme(), re.DOTALL)

    assert modules == BENCHMARKS.keys()
    assert sorted(places) == sorted(["aims", *BENCHMARKS])
    assert set(re.findall(r"^## (\w+)$", readme(), re.MULTILINE)) >= BENCHMARKS.keys()


def readme() -> str:
    return results.README.read_text("utf-8")


def test_figures_replace_those_of_an_earlier_run(tmp_path: Path) -> None:
    file = tmp_path / "README.md"
    file.write_text("a\n<!-- figures: x -->\nold\n<!-- end: x -->\nb <!-- figures: y -->", "utf-8")

    results.write_figures("x", "| new |", file)

    assert file.read_text("utf-8") == (
        "a\n<!-- figures: x -->\n| new |\n<!-- end: x -->\nb <!-- figures: y -->"
    )
    with pytest.raises(ValueError, match="no place for the figures of y"):
        results.write_figures("y", "", file)


def test_an_aim_is_met_by_the_median_of_the_rounds() -> None:
    assert Aim("rate", [0.1, 0.628, 0.9], at_least=0.63).is_met
    assert not Aim("rate", [0.1, 0.62, 0.9], at_least=0.63).is_met
    assert not Aim("trips", [1.2], at_most=1, digits=1).is_met
    assert Aim("trips", [1.04], at_most=1, digits=1).is_met
    assert spread([3, 1, 2.25]) == "2.25 (1.00-3.00)"


def test_a_table_is_markdown_with_aligned_columns() -> None:
    table = Table(("call", "µs"), note="Below.")
    table.add("GET", "1")

    assert table.markdown() == "| call |  µs |\n| ---- | --: |\n| GET  |   1 |\n\nBelow."


def test_a_chart_has_a_bar_and_a_number_for_each_rate() -> None:
    chart = bar_chart("a < b", {"one": {"x": [10, 20, 30], "y": [1]}, "two": {"x": [1500]}})

    texts = [text.text for text in ET.fromstring(chart).iter() if text.text]
    assert chart.count('<rect class="bar') == 3
    assert {"a < b", "one", "two", "x", "y", "20", "1", "1,500"} <= set(texts)


PAUSE = 0.02  # seconds that the server needs for a response


@pytest.fixture
def slow_port() -> Iterator[int]:
    """The port of a server that responds to one request at a time, after a pause."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        thread = threading.Thread(target=_respond, args=[listener])
        thread.start()
        yield int(listener.getsockname()[1])
        thread.join()


def _respond(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection, suppress(ConnectionError):
        while connection.recv(65536):
            time.sleep(PAUSE)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


def test_the_latency_at_a_fixed_rate_includes_the_wait_for_the_server(slow_port: int) -> None:
    requests = repeat(request("GET", "/", {}))

    run = load(slow_port, requests, connections=1, seconds=0.2, rate=200)

    count = len(run.latencies)
    assert count == 40  # all that were due, though the server could not keep pace
    assert run.latencies[-1] >= count * PAUSE - 0.2
    assert run.seconds >= count * PAUSE


def test_a_saturated_server_gets_the_next_request_after_each_response(slow_port: int) -> None:
    requests = repeat(request("GET", "/", {}))

    run = load(slow_port, requests, connections=1, seconds=0.2)

    assert run.rate <= 1 / PAUSE
    assert min(run.latencies) >= PAUSE


def test_the_usage_of_a_tree_includes_children(tmp_path: Path) -> None:
    folder = tmp_path / "example-service"
    folder.mkdir()
    child = "text = 'x' * 60_000_000; input()"
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, cwd=folder) as it:
        deadline = time.monotonic() + 20
        while (usage := usage_of_tree(it.pid))["example, gunicorn"].memory_mb < 60:
            assert time.monotonic() < deadline, usage
            time.sleep(0.01)
        it.communicate(b"\n")

    assert list(usage) == ["example, gunicorn"]
    assert usage["example, gunicorn"].cpu > 0
