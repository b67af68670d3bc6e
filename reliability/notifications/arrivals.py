"""What arrives at the mail server and at the endpoint: each writes it down before it says so."""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

_FILE = "arrivals"


@dataclass(frozen=True, slots=True)
class Arrival:
    """A mail or a call. The key is that of the client who wanted it, the id is ours."""

    channel: str
    key: str
    message_id: str


def write_down(folder: Path, arrival: Arrival) -> None:
    """In one call, because the process may die next."""
    file = os.open(folder / _FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(file, f"{json.dumps(asdict(arrival))}\n".encode())
    os.close(file)


def read_all(folder: Path) -> Iterator[Arrival]:
    """All of a run."""
    path = folder / _FILE
    for line in path.read_text().splitlines() if path.exists() else []:
        yield Arrival(**json.loads(line))
