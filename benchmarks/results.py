"""Writes figures into README.md, between comments that name the benchmark, and images beside it."""

import os
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from common.pyportal_common.testing.postgres import postgres_binaries

from .servers import PEERS, redis_binary, version_of
from .tables import Report, table_of

FOLDER = Path(__file__).parent
README = FOLDER / "README.md"

_PACKAGES = ("Flask", "gunicorn", "redis", "SQLAlchemy")
_PACKAGES_OF_PEERS = ("Flask-Session", "Flask-Limiter", "limits", "Flask-Caching", "dramatiq")


def write(name: str, report: Report) -> None:
    """Replace the figures of this benchmark, and its images."""
    write_figures(name, report.markdown())
    for file, text in report.images.items():
        (FOLDER / file).write_text(text, "utf-8")


def write_figures(name: str, markdown: str, readme: Path = README) -> None:
    """Replace what is between the two comments. Raises ValueError if they are missing."""
    begin, end = f"<!-- figures: {name} -->", f"<!-- end: {name} -->"
    text = readme.read_text("utf-8")
    before, found_begin, rest = text.partition(begin)
    _, found_end, after = rest.partition(end)
    if not (found_begin and found_end):
        raise ValueError(f"{readme} has no place for the figures of {name}")
    readme.write_text(f"{before}{begin}\n{markdown}\n{end}{after}", "utf-8")


def summary(reports: Mapping[str, Report]) -> str:
    """The aims of these benchmarks, what they met, and what they ran on."""
    aims = [aim for report in reports.values() for aim in report.aims]
    return (table_of(aims).markdown() + "\n\n" if aims else "") + _machine()


def _machine() -> str:
    parts = [f"{os.cpu_count()} cores", f"Python {platform.python_version()}"]
    parts += [f"Redis {version_of(redis_binary())}"]
    if (binaries := postgres_binaries()) is not None:
        parts.append(f"PostgreSQL {version_of(binaries / 'postgres')}")
    parts += [f"{name} {metadata.version(name)}" for name in _PACKAGES]
    folders = [str(folder) for folder in PEERS.glob("lib/python*/site-packages")]
    versions = {found.name: found.version for found in metadata.distributions(path=folders)}
    parts += [f"{name} {versions[name]}" for name in _PACKAGES_OF_PEERS if name in versions]
    return f"{', '.join(parts)}."
