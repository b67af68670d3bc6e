"""Builds the distributions of common/, and installs the wheel into empty environments."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

from .load import ROOT


def build(folder: Path, source: Path = ROOT, *, epoch: int = 1_700_000_000) -> Path:
    """Build the sdist and the wheel into `folder`. Returns the wheel."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", folder],
        cwd=source,
        env=os.environ | {"SOURCE_DATE_EPOCH": str(epoch)},
        check=True,
        capture_output=True,
    )
    return next(folder.glob("*.whl"))


def interpreter(version: str) -> Path | None:
    """A Python of this version on this machine, also one that pyenv has and does not use."""
    on_path = shutil.which(f"python{version}")
    found = [Path(on_path)] if on_path else []
    found += sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python{version}"))
    return next((python for python in found if _answers(python)), None)


def _answers(python: Path) -> bool:  # pyenv has a program for each version that it might have
    return subprocess.run([python, "-c", ""], check=False, capture_output=True).returncode == 0


def download(wheel: Path, folder: Path) -> Path:
    """Download what all extras require for this Python. Returns the folder."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(folder)]
    subprocess.run([*command, f"pyportal-common[all,testing] @ {wheel.as_uri()}"], check=True)
    return folder


def install(
    folder: Path,
    wheel: Path,
    extras: str,
    *others: str,
    base: Path = Path(sys.executable),
    downloaded: Path | None = None,
) -> Path:
    """Create an environment with the wheel and its extras. Returns its Python.

    Packages come from the folder `downloaded`, if there is one, and otherwise from the index.
    """
    subprocess.run([base, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin" / "python"
    requirement = f"pyportal-common[{extras}] @ {wheel.as_uri()}" if extras else str(wheel)
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    install.append("--no-compile")  # programs import a part of it only
    if downloaded is not None:
        install += ["--no-index", "--find-links", str(downloaded)]
    subprocess.run([*install, requirement, *others], check=True)
    return python


def metadata_of(wheel: Path) -> Message:
    """The wheel's metadata."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith("/METADATA"))
        return Parser().parsestr(archive.read(name).decode())


def lowest(wheel: Path, folder: Path) -> Path:
    """A file of constraints for pip: of each requirement that has a lower bound, that version."""
    bounds: dict[str, tuple[int, ...]] = {}
    for requirement in metadata_of(wheel).get_all("Requires-Dist", []):
        if found := re.match(r"([\w-]+)(?:\[\w+\])?>=([\d.]+)", requirement):
            version = tuple(map(int, found[2].split(".")))
            bounds[found[1]] = max(version, bounds.get(found[1], version))
    lines = [f"{name}=={'.'.join(map(str, version))}" for name, version in bounds.items()]
    file = folder / "lowest.txt"
    file.write_text("\n".join(lines))
    return file


def run(python: Path, program: str, folder: Path, *arguments: str, **variables: str) -> str:
    """Run a program in an empty folder. Returns what it prints; fails with what it prints."""
    result = subprocess.run(
        [str(python), "-I", "-W", "error", "-c", program, *arguments],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder)} | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout
