"""Removes the values that pending invalidations name, as few scripts as possible."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from .. import keys
from ..client.connections import SendCommand
from ..client.errors import RedisRefused
from ..client.scripts import Script

_VALUES_PER_SCRIPT = 100  # each with its lease
_MAX_REFUSED = 50  # records of one call, because each costs several scripts


@dataclass(frozen=True, slots=True)
class PendingKeys:
    """The keys that a commit has changed and that may still hold old values."""

    record_id: int
    keys: tuple[str, ...]


class Removal:
    """Removes values and leases. `run` runs a script, as RedisClient.run does."""

    def __init__(self, run: Callable[[Script, Sequence[str], Sequence[str]], object]) -> None:
        self._run = run
        self._script = Script.load(__package__, "renew")

    @classmethod
    def by(cls, send: SendCommand) -> "Removal":
        """One that sends commands on one connection, in a connect hook."""
        return cls(lambda script, names, args: send("EVAL", script.text, len(names), *names, *args))

    def check(self) -> None:
        """Raise RedisUnavailable if the server does not accept writes. One round trip."""
        self._run(self._script, [keys.CACHE_RENEWAL], [])

    def remove(self, pending: Sequence[PendingKeys]) -> dict[int, RedisRefused]:
        """Remove the keys of each record. Returns why Redis refused some, by their ids.

        One round trip for each hundred keys if none is refused. Raises RedisUnavailable in an
        outage, if every write is refused at the moment, and if very many records are.
        """
        refused: dict[int, RedisRefused] = {}
        for batch in _in_batches(pending):
            self._remove(batch, refused)
        return refused

    def _remove(self, batch: Sequence[PendingKeys], refused: dict[int, RedisRefused]) -> None:
        names = sorted({key for record in batch for key in record.keys})
        try:
            for start in range(0, len(names), _VALUES_PER_SCRIPT):
                some = names[start : start + _VALUES_PER_SCRIPT]
                pairs = [each for name in some for each in (name, keys.lease(name))]
                self._run(self._script, [keys.CACHE_RENEWAL, *pairs], [])
        except RedisRefused as error:
            if error.is_of_all_writes or len(refused) >= _MAX_REFUSED:
                raise
            if len(batch) == 1:
                refused[batch[0].record_id] = error
                return
            middle = len(batch) // 2
            self._remove(batch[:middle], refused)
            self._remove(batch[middle:], refused)


def _in_batches(pending: Sequence[PendingKeys]) -> Iterator[Sequence[PendingKeys]]:
    """The records in groups, each of one script if possible."""
    group: list[PendingKeys] = []
    size = 0
    for record in pending:
        if group and size + len(record.keys) > _VALUES_PER_SCRIPT:
            yield group
            group, size = [], 0
        group.append(record)
        size += len(record.keys)
    if group:
        yield group
