"""What is judged of a steady run: what grows is found, and nothing else."""

import os
import random
from pathlib import Path

import pytest

from reliability.steady.judge import growth, violations
from reliability.steady.report import write_plot
from reliability.steady.run import Outcome
from reliability.steady.samples import Sample, Series, descriptors, pss

MIB = 2**20
PSS, FILES = Series("web 1", "pss"), Series("web 1", "descriptors")


def samples(pss_per_minute: float = 0, files_per_minute: float = 0) -> list[tuple[float, Sample]]:
    """Twenty minutes of a noisy process that fills its caches in the first three."""
    rng = random.Random(1)
    found: list[tuple[float, Sample]] = []
    for number in range(240):
        minute = number / 12
        warm = 60 * MIB + 10 * MIB * min(1, minute / 3)
        noise = rng.uniform(0, MIB) + (20 * MIB if number % 50 == 0 else 0)
        files = 30 + rng.randint(0, 2) + int(files_per_minute * minute)
        values = {PSS: warm + noise + pss_per_minute * minute, FILES: float(files)}
        found.append((60 * minute, values))
    return found


def test_what_does_not_grow_after_the_warm_up_is_fine() -> None:
    assert violations(samples()) == []


def test_a_planted_leak_of_memory_is_found() -> None:
    (found,) = violations(samples(pss_per_minute=MIB / 4))

    assert found.startswith("pss of web 1 grew by 2,")


def test_a_planted_leak_of_descriptors_is_found() -> None:
    (found,) = violations(samples(files_per_minute=0.3))

    assert found.startswith("descriptors of web 1 grew by ")


def test_a_process_that_was_not_there_all_the_time_is_found() -> None:
    found = samples()
    found[200] = (found[200][0], {FILES: 30.0})

    assert violations(found) == ["web 1 was not there all the time"]


def test_one_high_sample_is_no_growth() -> None:
    assert growth([0, 1, 2, 3, 4], [5, 5, 5, 5, 500]) == 0
    assert growth([0, 1, 2, 3, 4], [5, 6, 7, 8, 500]) == pytest.approx(4)


def test_memory_and_descriptors_are_those_of_the_process() -> None:
    before = descriptors(os.getpid())

    with Path(os.devnull).open():
        during = descriptors(os.getpid())

    assert during == before + 1
    assert pss(os.getpid()) > MIB


def test_the_plot_has_a_line_for_each_series(tmp_path: Path) -> None:
    found = samples()
    redis = {Series("redis", "used_memory"): 1.0 * MIB, Series("redis", "clients"): 7.0}
    found = [(time, {**each, **redis}) for time, each in found]

    write_plot(Outcome(found, responses=None, violations=[]), tmp_path / "plot.svg")  # type: ignore[arg-type]

    assert (tmp_path / "plot.svg").read_text("utf-8").count("<polyline") == 4
