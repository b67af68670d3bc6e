"""A search of every order in which the processes can take their steps, the shortest first."""

from collections import deque
from dataclasses import dataclass

from .faults import fault_steps
from .readers import reader_steps
from .rules import Bounds, Rules
from .state import Reader, State, Steps, Sweeper, Writer, initial_states
from .trust import renewal_steps
from .upkeep import connect_steps, sweeper_steps
from .writers import late_steps, writer_steps

STALE_LEFT = "no stale value is left"


@dataclass(frozen=True, slots=True)
class Result:
    """`broken` is the broken promise, or empty; `trace` is the shortest way to break it."""

    states: int
    broken: str = ""
    trace: tuple[str, ...] = ()

    def __str__(self) -> str:
        steps = "\n".join(f"{number:3} {step}" for number, step in enumerate(self.trace, 1))
        return f"{self.broken or 'no promise broken'} ({self.states:,} states)\n{steps}"


def search(rules: Rules, bounds: Bounds) -> Result:
    """Breadth first, up to the first promise that is broken."""
    came_from: dict[State, tuple[State, str] | None] = dict.fromkeys(initial_states(bounds))
    waiting = deque(came_from)
    while waiting:
        state = waiting.popleft()
        for step, following in steps(state, rules, bounds):
            if following in came_from:
                continue
            came_from[following] = (state, step)
            broken = following.broken or _stale_value_left(following, rules)
            if broken:
                return Result(len(came_from), broken, _trace(came_from, following))
            waiting.append(following)
    return Result(len(came_from))


def steps(state: State, rules: Rules, bounds: Bounds) -> Steps:
    """Everything that can happen next, and the state after it."""
    for index in range(bounds.readers):
        yield from _named(f"reader {index}", reader_steps(state, index, rules, bounds))
    for index in range(bounds.writers):
        yield from _named(f"writer {index}", writer_steps(state, index, rules, bounds))
    if bounds.sweeps:
        yield from _named("sweeper", sweeper_steps(state, rules))
    yield from _named("renewal", renewal_steps(state, rules))
    yield from _named("Redis", fault_steps(state))
    yield from _named("Redis", late_steps(state, rules, bounds))
    for index, link in enumerate(state.links):
        if link != "up" and _needs_redis(state, index):
            yield from _named(_name(index, bounds), connect_steps(state, index, rules))


def _named(name: str, found: Steps) -> Steps:
    for text, following in found:
        yield f"{name} {text}", following


def _needs_redis(state: State, index: int) -> bool:
    processes: tuple[Reader | Writer | Sweeper, ...] = (
        *state.readers,
        *state.writers,
        state.sweeper,
    )
    phases = [process.phase for process in processes]
    if phases[index] == "idle":
        return index < len(state.readers) and state.readers[index].left > 0
    if any(renewal.process == index and renewal.phase == "asking" for renewal in state.renewals):
        return True
    asking = {"asking", "missed", "alone", "refreshing", "filling", "fencing", "unfencing"}
    return phases[index] in asking | {"sweeping", "swept"}


def _stale_value_left(state: State, rules: Rules) -> str:
    """At the end, when no record is pending, Redis holds the newest version or none."""
    busy = (
        any(reader.phase != "idle" or reader.left for reader in state.readers)
        or any(writer.phase not in {"idle", "dead", "waiting"} for writer in state.writers)
        or state.sweeper.phase != "idle"
        or any(state.renewals)
        or state.refuses
        or (rules.sweep and "p" in state.records)
        or not state.redis.marked
    )
    old = state.redis.value is not None and state.redis.value != state.committed
    return STALE_LEFT if old and not busy else ""


def _trace(came_from: dict[State, tuple[State, str] | None], state: State) -> tuple[str, ...]:
    taken: list[str] = []
    before = came_from[state]
    while before is not None:
        state, step = before
        taken.append(step)
        before = came_from[state]
    return (f"the value is {state.redis.value}", *reversed(taken))


def _name(index: int, bounds: Bounds) -> str:
    if index < bounds.readers:
        return f"reader {index}"
    writer = index - bounds.readers
    return f"writer {writer}" if writer < bounds.writers else "sweeper"
