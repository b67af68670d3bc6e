"""The state of the model: SQL, Redis, the processes, and what was promised."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from .rules import Bounds
from .scripts import Redis


class Reader(NamedTuple):
    """No result may be older than `answered` and `seen`. `left` counts reads."""

    phase: str = "idle"
    left: int = 1
    answered: int = 0
    seen: int = 0
    snapshot: int = 0
    value: int = 0
    joined: int = -1
    saw: int = 0  # the fill of the value that it refreshes


class Writer(NamedTuple):
    """`fenced` until its fence expires, or is lost, before the COMMIT.

    It `fills` the cache with its version if it has the reply to its fence.
    """

    phase: str = "idle"
    left: int = 1
    version: int = 0
    fenced: bool = False
    fills: bool = False


class Sweeper(NamedTuple):
    phase: str = "idle"
    found: tuple[int, ...] = ()


class Renewal(NamedTuple):
    """A renewal of the trust of the process of that reader. See `State.trust` for `begun`."""

    process: int
    phase: str
    begun: int
    found: tuple[int, ...]


class Faults(NamedTuple):
    """How many faults of each kind, and renewals, may still happen."""

    crashes: int
    kills: int
    cuts: int
    expiries: int
    minutes: int
    refusals: int
    renewals: int


class State(NamedTuple):
    """One row, whose versions are counted from 0, under one key.

    `records` has a letter for each version from 1 on: - none, p pending, d done, o done a minute
    ago, x purged. `links` are the connections of readers, writers and the sweeper, in this order.
    `disk` is what Redis restarts with after a crash. It is chosen in advance, because the set of
    everything that a crash might lose would multiply the states. `fenced` are the versions that
    were committed under their fences.

    `trust` has for each process how much was committed when the renewal began that its trust is
    from; EXPIRED if it has none. `late` are the writers' commands that nobody waits for any more:
    a script, a token, and what is filled.
    """

    committed: int
    lock: int | None
    records: str
    redis: Redis
    disk: Redis | None
    links: tuple[str, ...]
    readers: tuple[Reader, ...]
    writers: tuple[Writer, ...]
    sweeper: Sweeper
    faults: Faults
    answered: int = 0
    seen: int = 0
    fenced: tuple[int, ...] = (0,)
    broken: str = ""
    trust: tuple[int, ...] = ()
    renewals: tuple[Renewal, ...] = ()
    late: tuple[tuple[str, int, int | None], ...] = ()
    refuses: bool = False


EXPIRED = -1

COMMITTED = "only committed values"
ANSWERED = "nothing older than what was answered"
SEEN = "nothing older than what was seen"
REFRESHED = "no second load of a value that was refreshed"

Steps = Iterator[tuple[str, State]]


def initial_states(bounds: Bounds) -> list[State]:
    """With the first version cached, and with an empty cache."""
    return [
        State(
            committed=0,
            lock=None,
            records="",
            redis=Redis(value=value),
            disk=None,
            links=("up",) * (bounds.readers + bounds.writers + 1),
            readers=(Reader(left=bounds.reads),) * bounds.readers,
            writers=(Writer(left=bounds.writes),) * bounds.writers,
            sweeper=Sweeper(),
            faults=Faults(*(getattr(bounds, name) for name in Faults._fields)),
            trust=(0,) * (1 if bounds.one_process else bounds.readers),
        )
        for value in (0, None)
    ]


def with_reader(state: State, index: int, **changes: Any) -> State:
    reader = state.readers[index]._replace(**changes)
    return state._replace(readers=put(state.readers, index, reader))


def with_writer(state: State, index: int, **changes: Any) -> State:
    writer = state.writers[index]._replace(**changes)
    return state._replace(writers=put(state.writers, index, writer))


def with_link(state: State, index: int, link: str) -> State:
    return state._replace(links=put(state.links, index, link))


def with_records(state: State, versions: tuple[int, ...], letter: str) -> State:
    records = "".join(
        letter if version in versions and old == "p" else old
        for version, old in enumerate(state.records, 1)
    )
    return state._replace(records=records)


def spend(state: State, **left: int) -> State:
    return state._replace(faults=state.faults._replace(**left))


def put(items: tuple[Any, ...], index: int, item: Any) -> tuple[Any, ...]:
    return (*items[:index], item, *items[index + 1 :])
