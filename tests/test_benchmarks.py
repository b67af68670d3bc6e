"""Every benchmark runs to its end. What it measures is not a matter of tests."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import BENCHMARKS

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_benchmark_runs_in_its_short_form(name: str) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--short", name],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )

    assert run.returncode == 0, run.stdout + run.stderr
    assert re.search(rf"^## {name}$.*^\S.*\s\d", run.stdout, re.DOTALL | re.MULTILINE)  # a figure
