"""The settings of a run, which every process of the run knows."""

import json
import os
import random
import sys
from dataclasses import dataclass
from pathlib import Path

from .journal import Journal

ROOT = Path(__file__).parent.parent

_ARMED = "armed"  # a file that exists while faults may happen


@dataclass(frozen=True, slots=True)
class RunSettings:
    """`folder` holds all that the run writes; `mutant` is what the run leaves out, if anything."""

    folder: Path
    seed: int
    seconds: float = 0.0
    database: str = "sqlite"
    mutant: str | None = None

    def random_for(self, name: str) -> random.Random:
        """The random numbers of one thread or process, the same for the same seed."""
        return random.Random(f"{self.seed} {name}")

    def journal(self, name: str) -> Journal:
        """The journal of one process."""
        return Journal(self.folder / f"{name}.journal")

    def arm(self) -> None:
        """Allow processes to crash from now on."""
        (self.folder / _ARMED).touch()

    def disarm(self) -> None:
        """Forbid it again."""
        (self.folder / _ARMED).unlink(missing_ok=True)

    @property
    def is_armed(self) -> bool:
        """Whether faults may happen."""
        return (self.folder / _ARMED).exists()

    def variables(self, process: str) -> dict[str, str]:
        """What `from_environment` and `process_name` read, for the process of that name."""
        run = {"folder": str(self.folder), "seed": self.seed, "mutant": self.mutant}
        return {"RELIABILITY_RUN": json.dumps(run), "RELIABILITY_PROCESS": process}

    @classmethod
    def from_environment(cls) -> "RunSettings":
        """The settings of the run that this process belongs to."""
        run = json.loads(os.environ["RELIABILITY_RUN"])
        return cls(Path(run["folder"]), run["seed"], mutant=run["mutant"])


def use_service(name: str) -> Path:
    """The folder of a service, whose package `app` can be imported from now on."""
    folder = ROOT / name
    sys.path.insert(0, str(folder))
    return folder


def process_name() -> str:
    """The name of this process."""
    return os.environ["RELIABILITY_PROCESS"]
