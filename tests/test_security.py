"""docs/security.md goes through every requirement, and the tests that it names exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

PAGE = (ROOT / "docs" / "security.md").read_text("utf-8")
ROWS = re.findall(r"^\| (\d\.\d\.\d+) \|[^|]+\| (\S+) \|(?: (.+) \|)?$", PAGE, re.MULTILINE)

# How many requirements of levels 1 and 2 the sections of ASVS 5.0.0 have, from the first one on.
COUNTS = {"3.2": 2, "3.3": 4, "3.4": 6, "3.5": 5, "3.7": 2,
          "6.1": 3, "6.2": 12, "6.3": 4, "6.4": 4, "6.5": 5, "6.6": 3, "6.8": 4,
          "7.1": 3, "7.2": 4, "7.3": 2, "7.4": 5, "7.5": 2, "7.6": 2,
          "9.1": 3, "9.2": 4}  # fmt: skip


def test_every_requirement_has_a_row() -> None:
    expected = [f"{section}.{n}" for section, count in COUNTS.items() for n in range(1, count + 1)]

    assert [number for number, _, _ in ROWS] == expected
    assert {status for _, status, _ in ROWS} <= {"met", "partly", "open", "n/a"}


@pytest.mark.parametrize(
    "name", sorted({*re.findall(r"`(\S+\.py(?:::\w+)+)`", PAGE)}), ids=lambda name: name
)
def test_a_named_test_exists(name: str) -> None:
    path, *names = name.split("::")
    file = ROOT / path if "/" in path else ROOT / "usermanagement-service" / "tests" / path
    text = file.read_text("utf-8")

    for each in names:
        assert re.search(rf"^ *(?:class|def) {each}\b", text, re.MULTILINE), each
