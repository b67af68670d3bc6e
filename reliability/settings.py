"""What a run is to be, and what its processes are told of it."""

import os
import random
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
SERVICE = ROOT / "taskprocessing-service"

LEASE_SECONDS = 2.0
MUTANTS = ("sweeper", "transaction")  # what a run can do without, to show what for

_ARMED = "armed"  # a file: faults happen while it is there
_DEATHS = "deaths"  # a file, with a line for each


@dataclass(frozen=True, slots=True)
class Setting:
    """One run. Times are seconds."""

    folder: Path
    bookings: int
    seconds: float
    seed: int
    without: str | None

    def random_for(self, name: str) -> random.Random:
        """The chance of one thread or process, the same for the same seed."""
        return random.Random(f"{self.seed} {name}")

    def arm(self) -> None:
        """Let processes take their lives from now on."""
        (self.folder / _ARMED).touch()

    def disarm(self) -> None:
        """Let them be."""
        (self.folder / _ARMED).unlink(missing_ok=True)

    @property
    def is_armed(self) -> bool:
        """Whether faults are to happen."""
        return (self.folder / _ARMED).exists()

    def note_death(self, kind: str) -> None:
        """Write down that a process takes its life: in one call, because it dies next."""
        file = os.open(self.folder / _DEATHS, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(file, f"{kind}\n".encode())
        os.close(file)

    def deaths(self) -> list[str]:
        """Of which kinds there were any, one entry each."""
        path = self.folder / _DEATHS
        return path.read_text().splitlines() if path.exists() else []

    def variables(self) -> dict[str, str]:
        """The same for the environment of a process."""
        return {
            "CHAOS_FOLDER": str(self.folder),
            "CHAOS_SEED": str(self.seed),
            "CHAOS_WITHOUT": self.without or "",
        }

    @classmethod
    def of_environment(cls) -> "Setting":
        """What the process was told."""
        return cls(
            folder=Path(os.environ["CHAOS_FOLDER"]),
            bookings=0,
            seconds=0,
            seed=int(os.environ["CHAOS_SEED"]),
            without=os.environ["CHAOS_WITHOUT"] or None,
        )
